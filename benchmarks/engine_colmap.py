"""Engine `colmap` beside what its user would pick instead, on shots with known truth. Prints Markdown.

    python -m benchmarks.engine_colmap TRUTH_FOLDER [--shots room wide] [--step 2] [--no-peers] [--stereo]

*ours* is the engine as `reconstruct` runs it. *incremental* and *global* are pycolmap alone on the very same features:
its own exhaustive matcher, its own mappers, its own settings. Their time of features is therefore ours. *stereo* is
OpenCV's semi-global matcher on pairs rectified with our cameras, each frame with its two best neighbours.
Times are wall seconds of this process, in brackets the processor's; a machine with other work to do shows the first.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from benchmarks.stereo_pairs import stereo_depth
from vggt_blender.engines.colmap.features import (
    MAX_FEATURES_ORDERED,
    Features,
    find_features,
    working_picture,
    working_scale,
)
from vggt_blender.engines.colmap.mapping import initial_camera, write_database
from vggt_blender.engines.colmap.reconstruct import reconstruct
from vggt_blender.engines.colmap.solution import solution_of
from vggt_blender.evaluation import Report, Truth, evaluate, load_truth
from vggt_blender.exchange.job import FrameRange, Job
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import Frame, Pose, Reconstruction, load_reconstruction
from vggt_blender.exchange.writer import ReconstructionWriter
from vggt_blender.inference.frames import FrameSource, open_source

PEERS: dict[str, Callable[..., dict[int, pycolmap.Reconstruction]]] = {
    "incremental": pycolmap.incremental_mapping,
    "global": pycolmap.global_mapping,
}
DESCRIPTOR_UNIT = 512
"""COLMAP stores descriptors of unit length as bytes of this many to one."""


class Clock:
    """A reporter that keeps how long each stage took: wall and processor seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}
        self.warnings: list[str] = []
        self._stage = ""
        self._start = self._now()

    @staticmethod
    def _now() -> NDArray[np.float64]:
        return np.array([time.perf_counter(), time.process_time()])

    def progress(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self.stop()
            self._stage = stage

    def stop(self) -> None:
        """Book the time since the last change to the stage that runs."""
        now = self._now()
        if self._stage:
            wall, cpu = np.add(self.seconds.get(self._stage, (0.0, 0.0)), now - self._start)
            self.seconds[self._stage] = (float(wall), float(cpu))
        self._start = now

    def status(self, message: str) -> None: ...

    def warning(self, message: str) -> None:
        self.warnings.append(message)


@dataclass(frozen=True)
class Row:
    """One side's result on one shot; ``report`` is None where it found none."""

    shot: str
    side: str
    frames: int
    report: Report | None
    seconds: dict[str, tuple[float, float]]
    engine: dict[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def run_ours(shot: Path, source: FrameSource, truth: Truth, options: argparse.Namespace) -> Iterator[Row]:
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        job = Job((str(shot),), str(Path(scratch) / "out"), engine="colmap")
        try:
            with ReconstructionWriter(job.output) as writer:
                folder = reconstruct(source, writer, job, clock)
        except JobError as failure:
            yield Row(shot.name, "ours", len(source.frames), None, clock.seconds, warnings=[failure.message])
            return
        clock.stop()
        result = load_reconstruction(folder)
        yield Row(
            shot.name, "ours", len(result.frames), evaluate(result, truth), clock.seconds, result.engine, clock.warnings
        )
        if options.stereo:
            clock = Clock()
            clock.progress("depth", 0, 1)
            rectified = stereo_depth(result)
            clock.stop()
            yield Row(shot.name, "stereo", len(result.frames), evaluate(rectified, truth), clock.seconds)


def run_peers(shot: Path, source: FrameSource, truth: Truth) -> Iterator[Row]:
    """pycolmap's matcher and mappers on our features."""
    clock = Clock()
    clock.progress("features", 0, 1)
    features = list(find_features(((working_picture(picture), None) for picture in source), MAX_FEATURES_ORDERED))
    clock.progress("matching", 0, 1)
    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch) / "peer.db"
        _peer_database(database, source, features)
        pycolmap.match_exhaustive(database, device=pycolmap.Device.cpu)
        clock.stop()
        for side, mapping in PEERS.items():
            own = Clock()
            own.progress("cameras", 0, 1)
            if side == "global":
                pycolmap.calibrate_view_graph(database)
            models = mapping(database, shot, Path(scratch))
            own.stop()
            seconds = {**clock.seconds, **own.seconds}
            model = max(models.values(), key=lambda found: int(found.num_reg_images()), default=None)
            report = None if model is None else evaluate(_as_reconstruction(model, source), truth)
            yield Row(shot.name, side, len(source.frames), report, seconds)


def _peer_database(path: Path, source: FrameSource, features: Sequence[Features]) -> None:
    first = source.frames[0]
    scale = working_scale(first.width, first.height)
    size = round(first.width * scale), round(first.height * scale)
    write_database(path, [initial_camera(1, *size, None)] * len(features), features, [])
    database = pycolmap.Database.open(path)
    for position, found in enumerate(features):
        values = np.clip(np.round(found.descriptors * DESCRIPTOR_UNIT), 0, 255).astype(np.uint8)
        database.write_descriptors(
            position + 1, pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, values)
        )
    database.close()


def _as_reconstruction(model: pycolmap.Reconstruction, source: FrameSource) -> Reconstruction:
    solution = solution_of(model, [working_scale(frame.width, frame.height) for frame in source.frames])
    frames = []
    for frame, pose, lens in zip(source.frames, solution.poses, solution.lenses, strict=True):
        solved = None
        if pose is not None and lens is not None:
            solved = Pose(pose, lens.fx, lens.fy, lens.cx, lens.cy, lens.distortion)  # type: ignore[arg-type]
        frames.append(Frame(frame.name, frame.path, frame.index, frame.number, frame.width, frame.height, solved, None))
    residuals = np.concatenate([solution.residuals(position) for position in solution.placed])
    engine = {"name": "pycolmap", "residual_px": float(np.nanmedian(residuals))}
    return Reconstruction(Path(), engine, source.source, "scene", tuple(frames))


CAMERAS_HEADER = """
| shot | side | registered | true px median / p95 | ATE % | focal % | features s | matching s | cameras s | lens |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""

DEPTH_HEADER = """
| shot | side | AbsRel @ coverage | away from edges | at edges | s a frame |
| --- | --- | --- | --- | --- | --- |"""


def camera_line(row: Row) -> str:
    """One line of the table of cameras."""
    times = [_seconds(row.seconds, ("features",)), _seconds(row.seconds, ("matching",))]
    times.append(_seconds(row.seconds, ("cameras", "adjusting")))
    report = row.report
    if report is None:
        return f"| {row.shot} | {row.side} | 0/{row.frames} | - | - | - | {' | '.join(times)} | - |"
    pixels = "-" if report.reprojection is None else f"{report.reprojection.median:.3f} / {report.reprojection.p95:.3f}"
    ate = "no path" if report.path is None else f"{report.path.ate_percent:.4f}"
    focal = "-" if report.focal is None else f"{100 * report.focal.median:.3f}"
    settings = row.engine.get("settings", {})
    lens = ", ".join(str(settings[name]) for name in ("mapper", "lens", "lens_is_weak") if settings.get(name))
    cells = [row.shot, row.side, f"{report.registered}/{row.frames}", pixels, ate, focal, *times, lens or "-"]
    return f"| {' | '.join(cells)} |"


def depth_line(row: Row) -> str:
    """One line of the table of depth maps."""
    if row.report is None or row.report.depth is None:
        return f"| {row.shot} | {row.side} | - | - | - | - |"

    depth = row.report.depth

    def share(error: float | None, coverage: float | None) -> str:
        return "-" if error is None or coverage is None else f"{error:.4f} @ {100 * coverage:.1f} %"

    cells = [
        share(depth.abs_rel, depth.coverage),
        share(depth.abs_rel_flat, depth.coverage_flat),
        share(depth.abs_rel_edge, depth.coverage_edge),
        _seconds(row.seconds, ("depth",), row.report.registered),
    ]
    return f"| {row.shot} | {row.side} | {' | '.join(cells)} |"


def _seconds(seconds: dict[str, tuple[float, float]], stages: Sequence[str], parts: int = 1) -> str:
    wall, cpu = np.sum([seconds.get(stage, (0.0, 0.0)) for stage in stages], axis=0) / parts
    return f"{wall:.1f} ({cpu:.1f})" if parts == 1 else f"{wall:.2f} ({cpu:.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path, help="folder with one folder a shot, as benchmarks.truth renders them")
    parser.add_argument("--shots", nargs="*")
    parser.add_argument("--step", type=int, default=1, help="take every STEP-th frame")
    parser.add_argument("--no-peers", action="store_true", help="leave pycolmap alone out")
    parser.add_argument("--stereo", action="store_true", help="rectified stereo beside our depth")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    options = parser.parse_args()
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL.value)
    shots = options.shots or sorted(path.parent.name for path in options.truth.glob("*/truth.json"))
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; pycolmap {pycolmap.__version__}")
    print(f"OpenCV {cv2.__version__}, every {options.step}. frame")
    print(CAMERAS_HEADER, flush=True)
    rows = []
    for shot in shots:
        for row in _rows(options.truth / shot, options):
            rows.append(row)
            if row.side != "stereo":
                print(camera_line(row), flush=True)
    print(DEPTH_HEADER)
    for row in rows:
        if row.side in ("ours", "stereo"):
            print(depth_line(row))
    for row in rows:
        for warning in row.warnings:
            print(f"\n{row.shot}: {warning}")
    if options.json is not None:
        options.json.write_text(json.dumps([_plain(row) for row in rows], indent=1), encoding="utf-8")
    return 0


def _rows(shot: Path, options: argparse.Namespace) -> Iterator[Row]:
    truth = load_truth(shot / "truth.json")
    source = open_source([str(shot)], kind="sequence", frames=FrameRange(None, None, options.step))
    yield from run_ours(shot, source, truth, options)
    if not options.no_peers:
        yield from run_peers(shot, source, truth)


def _plain(row: Row) -> dict[str, Any]:
    report = None if row.report is None else row.report.to_dict()
    return {"shot": row.shot, "side": row.side, "report": report, "seconds": row.seconds, "engine": row.engine}


if __name__ == "__main__":
    sys.exit(main())
