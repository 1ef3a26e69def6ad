"""Straightened plates beside a reconstruction: what `export --to undistorted` wrote into its folder, read again.

``undistorted/undistorted.json`` holds, by frame name, the file, its size and the lens of the straight picture.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from .documents import read_json
from .reconstruction import LARGEST_WHOLE, Frame, Reconstruction

FOLDER = "undistorted"
PLATES = "undistorted.json"


def with_straight_plates(reconstruction: Reconstruction) -> Reconstruction:
    """The reconstruction as its straightened plates show it: larger pictures, no distortion, and a sequence instead of
    a video; depth and color still belong to the plate as shot. The reconstruction itself where a placed frame has none.
    """
    folder = reconstruction.folder / FOLDER
    try:
        plates = read_json(folder / PLATES)["frames"]
        frames = tuple(_straight(frame, plates.get(frame.name), folder) for frame in reconstruction.frames)
    except (OSError, ValueError, OverflowError, TypeError, KeyError, AttributeError):
        return reconstruction
    kind = "sequence" if reconstruction.source.kind == "video" else reconstruction.source.kind
    source = replace(reconstruction.source, kind=kind, path=str(folder.absolute()))
    return replace(reconstruction, frames=frames, source=source)


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
    number = frame.index + 1 if frame.number is None else frame.number
    if not file.is_file() or not all(0 < value <= LARGEST_WHOLE for value in (fx, fy, width, height)):
        raise KeyError(frame.name)
    return replace(
        frame,
        path=str(file.absolute()),
        number=number,
        width=width,
        height=height,
        pose=None if frame.pose is None else replace(frame.pose, fx=fx, fy=fy, cx=cx, cy=cy, distortion=None),
    )
