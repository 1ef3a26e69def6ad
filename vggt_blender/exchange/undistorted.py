"""Straightened plates beside a reconstruction: what `export --to undistorted` wrote into its folder, read again.

``undistorted/undistorted.json`` holds, by frame name, the file, its size and the lens of the straight picture, and as
``plate`` what it was made from: size and lens of the plate as it was solved then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .documents import read_json
from .reconstruction import LARGEST_WHOLE, Frame, Reconstruction

FOLDER = "undistorted"
PLATES = "undistorted.json"


def with_straight_plates(reconstruction: Reconstruction, warn: Callable[[str], object] | None = None) -> Reconstruction:
    """The reconstruction as its straightened plates show it: larger pictures, no distortion, and a sequence instead of
    a video; depth and color still belong to the plate as shot. The reconstruction itself where a placed frame has none.

    Also where a plate was made for another lens than the frame has now, as after a new solve: `warn` is told so.
    """
    folder = reconstruction.folder / FOLDER
    try:
        plates = read_json(folder / PLATES)["frames"]
        frames = tuple(_straight(frame, plates.get(frame.name), folder) for frame in reconstruction.frames)
        current = all(
            plates[frame.name].get("plate") == plate_of(frame) for frame in reconstruction.frames if frame.registered
        )
    except (OSError, ValueError, OverflowError, TypeError, KeyError, AttributeError):
        return reconstruction
    if not current:
        if warn is not None:
            warn(f"The straightened plates in '{folder}' are of another lens and were not used: write them again.")
        return reconstruction
    kind = "sequence" if reconstruction.source.kind == "video" else reconstruction.source.kind
    source = replace(reconstruction.source, kind=kind, path=str(folder.absolute()))
    return replace(reconstruction, frames=frames, source=source)


def plate_of(frame: Frame) -> dict[str, Any]:
    """Size and lens of the placed `frame` as the plate was shot, in plain JSON values."""
    pose = frame.pose
    assert pose is not None
    return {
        "width": frame.width,
        "height": frame.height,
        "fx": pose.fx,
        "fy": pose.fy,
        "cx": pose.cx,
        "cy": pose.cy,
        "distortion": None if pose.distortion is None else list(pose.distortion),
    }


def straight_files(folder: Path) -> list[Path]:
    """What was written of straightened plates into `folder`, the list of them last."""
    try:
        plates = read_json(folder / PLATES)["frames"].values()
        return [*(folder / Path(str(plate["file"])).name for plate in plates), folder / PLATES]
    except (OSError, ValueError, OverflowError, TypeError, KeyError, AttributeError):
        return []


def _straight(frame: Frame, plate: dict[str, Any] | None, folder: Path) -> Frame:
    if plate is None:
        if frame.registered:
            raise KeyError(frame.name)
        return frame
    file = folder / Path(str(plate["file"])).name
    fx, fy, cx, cy = (float(plate[key]) for key in ("fx", "fy", "cx", "cy"))
    width, height = int(plate["width"]), int(plate["height"])
    if not file.is_file() or not all(0 < value <= LARGEST_WHOLE for value in (fx, fy, width, height)):
        raise KeyError(frame.name)
    return replace(
        frame,
        path=str(file.absolute()),
        number=frame.plate_number,
        width=width,
        height=height,
        pose=None if frame.pose is None else replace(frame.pose, fx=fx, fy=fy, cx=cx, cy=cy, distortion=None),
    )
