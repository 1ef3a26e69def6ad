"""The lens as ST-maps: 32-bit EXR pairs that straighten the plate and bend what was made for the straight picture.

Red and green are where to look, 0..1 from the lower left, as Nuke's STMap and every compositor's like have it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..exchange.documents import read_json
from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Frame, Pose, Reconstruction
from ..exchange.undistorted import plate_of
from ..geometry.stmaps import StraightPicture, st_coordinates, straight_picture
from .exr import write_exr

LENS = "lens.json"


def write(reconstruction: Reconstruction, path: Path, report: Reporter) -> None:
    """A folder with ``undistort.exr``, ``redistort.exr`` and ``lens.json`` (sizes and lenses of both pictures); a pair
    for each frame, with its number in the name, where frames differ in lens or size.

    The straight picture has an overscan that holds the whole plate. Where a lens model folds over the map is -1.
    """
    placed = [(frame, frame.pose) for frame in reconstruction.frames if frame.pose is not None]
    if not placed:
        raise JobError("nothing", "No frame of this reconstruction was placed: there is no lens to write.")
    path.mkdir()
    alike = len({(frame.width, frame.height, _terms(pose)) for frame, pose in placed}) == 1
    document = {}
    chosen = placed[:1] if alike else placed
    for position, (frame, _) in enumerate(chosen):
        report.progress("lens", position, len(chosen))
        ending = "" if alike else f".{frame.plate_number:04d}"
        picture = picture_of(frame)
        _write_map(path / f"undistort{ending}.exr", picture.undistort_map(), (frame.width, frame.height))
        _write_map(path / f"redistort{ending}.exr", picture.redistort_map(), picture.size)
        document[f"undistort{ending}.exr"] = _description(picture, frame)
    (path / LENS).write_text(json.dumps(document, indent=1), encoding="utf-8")


def written(folder: Path) -> list[str]:
    """The maps that ``lens.json`` in `folder` lists, and itself; none where it is none of ours."""
    try:
        names = list(read_json(folder / LENS))
    except (OSError, ValueError, TypeError):
        return []
    if not names or not all(re.fullmatch(r"undistort(\.\d+)?\.exr", str(name)) for name in names):
        return []
    return [*names, *(name.replace("undistort", "redistort") for name in names), LENS]


def picture_of(frame: Frame) -> StraightPicture:
    """The straight picture of a registered frame."""
    pose = frame.pose
    assert pose is not None
    return straight_picture(pose.lens, frame.width, frame.height)


def _terms(pose: Pose) -> tuple[object, ...]:
    return (pose.fx, pose.fy, pose.cx, pose.cy, pose.distortion)


def _write_map(path: Path, pixels: NDArray[np.float64], size: tuple[int, int]) -> None:
    coordinates = np.nan_to_num(st_coordinates(pixels, size), nan=-1.0)
    blank = np.zeros(coordinates.shape[:2], np.float32)
    write_exr(path, {"R": coordinates[..., 0], "G": coordinates[..., 1], "B": blank})


def _description(picture: StraightPicture, frame: Frame) -> dict[str, object]:
    straight = picture.straight_lens
    return {
        "plate": plate_of(frame),
        "straight": {"width": picture.size[0], "height": picture.size[1], "fx": straight.fx, "fy": straight.fy,
                     "cx": straight.cx, "cy": straight.cy},
    }  # fmt: skip
