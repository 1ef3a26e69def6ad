"""What an artist would pick instead, on shots with known truth: Blender's own tracker, and pycolmap alone.

    python -m benchmarks.peers TRUTH_FOLDER [--shots room wide] [--sides blender blender-lens pycolmap] [--blender CMD]

*blender* detects features automatically, tracks them forwards and solves with a refined focal length; *blender-lens* is
given the true focal length. CMD starts a full Blender; without it the `bpy` of this Python, which has the same tracker,
runs. *pycolmap* are the rows of `benchmarks.engine_colmap`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine_colmap import Row, run_peers
from vggt_blender.evaluation import Truth, evaluate, load_truth
from vggt_blender.exchange.reconstruction import Frame, Pose, Reconstruction
from vggt_blender.inference.frames import FrameSource, open_source

SIDES = ("blender", "blender-lens", "pycolmap")
SCRIPT = Path(__file__).with_name("blender_tracker.py")
PATIENCE_S = 600

_IN_THIS_PYTHON = (
    "import runpy, bpy; bpy.ops.wm.read_factory_settings(); runpy.run_path({script!r}, run_name='__main__')"
)

HEADER = """
| shot | side | registered | true px median / p95 | ATE % | focal % | seconds |
| --- | --- | --- | --- | --- | --- | --- |"""


def run_blender(shot: Path, source: FrameSource, truth: Truth, command: str | None, given: bool) -> Row:
    """One run of Blender's tracker; ``seconds`` are those inside Blender."""
    side = "blender-lens" if given else "blender"
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        arguments = ["--", source.frames[0].path, str(result)] + ([str(truth.frames[0].lens.fx)] if given else [])
        start = [sys.executable, "-c", _IN_THIS_PYTHON.format(script=str(SCRIPT))]
        if command is not None:
            start = [*shlex.split(command), "-b", "--factory-startup", "--python", str(SCRIPT)]
        done = subprocess.run([*start, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if not result.exists():
            return Row(shot.name, side, len(source.frames), None, {}, warnings=[done.stderr.strip()[-200:]])
        found = json.loads(result.read_text(encoding="utf-8"))
    report = evaluate(_as_reconstruction(found, source), truth) if found["frames"] else None
    return Row(shot.name, side, len(source.frames), report, {"all": (found["seconds"], 0.0)}, found)


def _as_reconstruction(found: dict[str, Any], source: FrameSource) -> Reconstruction:
    frames = []
    for position, frame in enumerate(source.frames):
        pose = found["frames"].get(str(position + 1))
        solved = None
        if pose is not None:
            focal, distortion = found["focal_px"], tuple(found["distortion"])
            solved = Pose(np.array(pose), focal, focal, frame.width / 2, frame.height / 2, distortion)
        frames.append(Frame(frame.name, frame.path, frame.index, frame.number, frame.width, frame.height, solved))
    return Reconstruction(Path(), {"name": "blender"}, source.source, "arbitrary", tuple(frames))


def line(row: Row) -> str:
    """One line of the table."""
    seconds = sum(wall for wall, _ in row.seconds.values())
    report = row.report
    if report is None:
        return f"| {row.shot} | {row.side} | 0/{row.frames} | - | - | - | {seconds:.0f} |"
    pixels = "-" if report.reprojection is None else f"{report.reprojection.median:.3f} / {report.reprojection.p95:.3f}"
    ate = "no path" if report.path is None else f"{report.path.ate_percent:.3f}"
    focal = "-" if report.focal is None else f"{100 * report.focal.median:.2f}"
    cells = [row.shot, row.side, f"{report.registered}/{row.frames}", pixels, ate, focal, f"{seconds:.0f}"]
    return f"| {' | '.join(cells)} |"


def _rows(shot: Path, options: argparse.Namespace) -> Iterator[Row]:
    truth = load_truth(shot / "truth.json")
    source = open_source([str(shot)], kind="sequence")
    for side in options.sides:
        if side == "pycolmap":
            yield from run_peers(shot, source, truth)
        else:
            yield run_blender(shot, source, truth, options.blender, side == "blender-lens")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path, help="folder with one folder a shot, as benchmarks.truth renders them")
    parser.add_argument("--shots", nargs="*")
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=SIDES)
    parser.add_argument("--blender", metavar="CMD", help="starts a full Blender")
    options = parser.parse_args()
    print(HEADER, flush=True)
    for shot in options.shots or sorted(path.parent.name for path in options.truth.glob("*/truth.json")):
        for row in _rows(options.truth / shot, options):
            print(line(row), flush=True)
            for warning in row.warnings:
                print(f"  {warning}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
