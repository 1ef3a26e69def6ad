"""Refinement from cameras that are wrong by a network's errors, and from good ones, on shots with known truth.

    python -m benchmarks.refinement TRUTH_FOLDER [--shots exterior room] [--starts network] [--seeds 3] [--lens]

Each shot is disturbed by so many degrees, parts of its path and parts of its focal length, independently a frame;
the depth maps keep the truth's shape and get a wrong scale. A shot without a path gets shifts in parts of its depth.
With --lens refinement is told the true lens (one that does not zoom).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vggt_blender.evaluation import Report, Truth, TruthFrame, evaluate, load_truth
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.reconstruction import Frame, Pose, load_reconstruction
from vggt_blender.exchange.writer import ReconstructionWriter
from vggt_blender.geometry.cameras import camera_center
from vggt_blender.geometry.rotations import rotation_matrix
from vggt_blender.inference.frames import FrameSource, open_source
from vggt_blender.refinement import RefinementReport, refine

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Disturbance:
    """``degrees`` of turn, ``path`` and ``focal`` as parts. Distortion is always taken away: no network finds it."""

    name: str
    degrees: float
    path: float
    focal: float


DISTURBANCES = (
    Disturbance("network", 2.0, 0.05, 0.05),
    Disturbance("small", 0.2, 0.005, 0.005),
    Disturbance("truth", 0.0, 0.0, 0.0),
)


@dataclass(frozen=True)
class Row:
    """One run: the truth's verdict before and after."""

    shot: str
    disturbance: str
    seed: int
    before: Report
    after: Report
    outcome: RefinementReport


class Quiet:
    """A reporter that says nothing."""

    def progress(self, stage: str, done: int, total: int) -> None: ...

    def status(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...


def disturbed_frames(truth: Truth, source: FrameSource, size: Disturbance, seed: int) -> list[Frame]:
    """The truth's cameras, each turned and moved in a random direction, under one wrong focal length for all."""
    rng = np.random.default_rng(seed)
    centers = camera_center(np.stack([known.camera_from_world for known in truth.frames]))
    length = float(np.linalg.norm(np.diff(centers, axis=0), axis=1).sum())
    reach = size.path * (length if length > 1e-6 else 0.05 * _median_depth(truth))
    growth = 1 + size.focal * rng.choice([-1.0, 1.0])
    frames = []
    for seen, known, center in zip(source.frames, truth.frames, centers, strict=True):
        turn = rotation_matrix(np.radians(size.degrees) * _direction(rng)) @ known.camera_from_world[:, :3]
        pose = np.column_stack([turn, -turn @ (center + reach * _direction(rng))])
        lens = known.lens
        placed = Pose(pose, growth * lens.fx, growth * lens.fy, lens.cx, lens.cy)
        affine = _depth_affine(known)
        frames.append(Frame(seen.name, seen.path, seen.index, seen.number, seen.width, seen.height, placed, affine))
    return frames


def _direction(rng: np.random.Generator) -> Array:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def _median_depth(truth: Truth) -> float:
    return float(np.median([np.nanmedian(known.depth) for known in truth.frames if known.depth is not None]))


def _depth_affine(known: TruthFrame) -> Array:
    assert known.depth is not None
    return np.diag([known.width / known.depth.shape[1], known.height / known.depth.shape[0], 1.0])[:2]


def write_disturbed(folder: Path, truth: Truth, source: FrameSource, size: Disturbance, seed: int) -> None:
    """A reconstruction folder as an engine with these errors would leave it."""
    frames = disturbed_frames(truth, source, size, seed)
    scales = np.exp(np.random.default_rng(seed).normal(0, size.path, len(frames)))
    with ReconstructionWriter(folder) as writer:
        depths = [known.depth for known in truth.frames]
        assert depths[0] is not None
        writer.open_dense(len(frames), *depths[0].shape)
        for k, depth in enumerate(depths):
            assert writer.depth is not None
            assert writer.confidence is not None
            assert depth is not None
            writer.depth[k] = depth * scales[k]
            writer.confidence[k] = 1.0
        writer.finish(engine={"name": "disturbed truth"}, source=source.source, frames=frames)


def run(folder: Path, shots: list[str], starts: list[str], seeds: int, *, lens: bool) -> Iterator[Row]:
    """Every shot by every disturbance of `starts` by every seed; undisturbed shots once."""
    for shot in shots:
        truth = load_truth(folder / shot / "truth.json")
        source = open_source([str(folder / shot)], kind="sequence")
        known = true_lens(truth) if lens else Known()
        for size in DISTURBANCES:
            for seed in range((seeds if size.degrees else 1) if size.name in starts else 0):
                with tempfile.TemporaryDirectory() as scratch:
                    target = Path(scratch) / shot
                    write_disturbed(target, truth, source, size, seed)
                    before = evaluate(load_reconstruction(target), truth)
                    outcome = refine(target, source, Quiet(), known=known)
                    after = evaluate(load_reconstruction(target), truth)
                    yield Row(shot, size.name, seed, before, after, outcome)


def true_lens(truth: Truth) -> Known:
    """What an artist with a lens grid and a camera report knows."""
    lens = truth.frames[0].lens
    return Known(focal_px=lens.fx, distortion=tuple(lens.distortion or (0.0, 0.0)))


HEADER = (
    f"{'shot':<12} {'start':<8} {'seed':>4}  {'true px before':>14} {'after':>8}  {'ATE %':>8} {'focal %':>8} "
    f"{'AbsRel':>7}  {'held-out px':>13}  {'accepted':<8} {'model':<9} {'lens':<10} {'s':>5}"
)


def line(row: Row) -> str:
    """One line of the table; ATE, focal length and depth are those after."""

    def text(value: float | None, digits: int = 3) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    before, after, outcome = row.before, row.after, row.outcome
    ate = None if after.path is None else after.path.ate_percent
    focal = None if after.focal is None else 100 * after.focal.median
    held = f"{text(outcome.before_px, 2)} -> {text(outcome.after_px, 2)}"
    return (
        f"{row.shot:<12} {row.disturbance:<8} {row.seed:>4}  {text(_pixels(before)):>14} {text(_pixels(after)):>8}  "
        f"{text(ate, 4):>8} {text(focal):>8} {text(after.depth and after.depth.abs_rel, 4):>7}  {held:>13}  "
        f"{'yes' if outcome.accepted else 'no':<8} {outcome.model or '-':<9} {outcome.lens or '-':<10} "
        f"{outcome.seconds:>5.0f}" + ("" if outcome.accepted else f"  {outcome.reason}")
    )


def _pixels(report: Report) -> float | None:
    return None if report.reprojection is None else report.reprojection.median


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path, help="folder with one folder a shot, as benchmarks.truth renders them")
    parser.add_argument("--shots", nargs="*")
    names = [size.name for size in DISTURBANCES]
    parser.add_argument("--starts", nargs="*", choices=names, default=names)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--lens", action="store_true", help="the lens is known")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    shots = options.shots or sorted(path.parent.name for path in options.truth.glob("*/truth.json"))
    print(HEADER)
    rows, worse = [], 0
    for row in run(options.truth, shots, options.starts, options.seeds, lens=options.lens):
        print(line(row), flush=True)
        before, after = _pixels(row.before), _pixels(row.after)
        worse += before is not None and after is not None and after > before
        rows.append(
            {
                "shot": row.shot,
                "start": row.disturbance,
                "seed": row.seed,
                "before": row.before.to_dict(),
                "after": row.after.to_dict(),
                "outcome": row.outcome.to_dict(),
            }
        )
    finals = [entry["after"]["reprojection"]["median"] for entry in rows if entry["start"] == "network"]
    if finals:
        print(f"started from a network's errors: median {np.median(finals):.3f} px, worst {np.max(finals):.3f} px")
    print(f"{worse} of {len(rows)} runs ended with a larger true error than they began with")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
