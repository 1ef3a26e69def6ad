"""The plate straightened, with an overscan that keeps all of it: what Blender's camera, which knows no distortion,
matches exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Frame, Reconstruction
from ..exchange.undistorted import PLATES, plate_of, straight_files
from ..geometry.stmaps import StraightPicture
from .exr import write_exr
from .stmap import picture_of

LONGEST_STEM = 100


def write(reconstruction: Reconstruction, path: Path, report: Reporter) -> None:
    """A folder with a picture for each placed frame, numbered as the plate is, and ``undistorted.json``.

    Of a shot the frames that were not placed are there as well, by the lens of the one before. 8 and 16-bit plates
    become PNG of the same depth, EXR stays 32-bit EXR, frames of a video become 8-bit PNG. All frames of a shot get
    one size. Beyond the plate's edge the picture is black.
    """
    chosen = _with_lenses(reconstruction)
    if not chosen:
        raise JobError("nothing", "No frame of this reconstruction was placed: there is no lens to undo.")
    read = _reader(reconstruction)
    path.mkdir()
    pictures = _one_size([picture_of(frame) for frame in chosen], reconstruction.source.kind != "images")
    stems = _stems(chosen, reconstruction.source.kind)
    document: dict[str, dict[str, object]] = {}
    maps: tuple[StraightPicture, NDArray[np.float32]] | None = None
    for position, (frame, picture) in enumerate(zip(chosen, pictures, strict=True)):
        report.progress("plates", position, len(chosen))
        if maps is None or maps[0] != picture:
            # OpenCV puts the centre of the top-left pixel at (0, 0)
            maps = picture, (picture.undistort_map() - 0.5).astype(np.float32)
        straight = cv2.remap(read(frame), maps[1], None, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_CONSTANT)
        file = path / f"{stems[position]}.{'exr' if straight.dtype == np.float32 else 'png'}"
        _save(file, straight)
        lens = picture.straight_lens
        document[frame.name] = {
            "file": file.name, "width": picture.size[0], "height": picture.size[1],
            "fx": lens.fx, "fy": lens.fy, "cx": lens.cx, "cy": lens.cy, "plate": plate_of(frame),
        }  # fmt: skip
    report.progress("plates", len(chosen), len(chosen))
    (path / PLATES).write_text(json.dumps({"frames": document}, indent=1), encoding="utf-8")


def written(folder: Path) -> list[str]:
    """The plates that ``undistorted.json`` in `folder` lists, and itself."""
    return [file.name for file in straight_files(folder)]


def _with_lenses(reconstruction: Reconstruction) -> list[Frame]:
    """The frames to write, each with a lens."""
    placed = [frame for frame in reconstruction.frames if frame.registered]
    if reconstruction.source.kind == "images" or not placed:
        return placed
    chosen, pose = [], placed[0].pose
    for frame in reconstruction.frames:
        pose = frame.pose or pose
        chosen.append(replace(frame, pose=pose))
    return chosen


def _one_size(pictures: list[StraightPicture], shot: bool) -> list[StraightPicture]:
    """A shot has one resolution: the widest border for all frames."""
    if not shot:
        return pictures
    border_x, border_y = max(p.border_x for p in pictures), max(p.border_y for p in pictures)
    return [StraightPicture(p.lens, p.width, p.height, border_x, border_y) for p in pictures]


def _stems(frames: Sequence[Frame], kind: str) -> list[str]:
    """The files' names without ending, no two alike on any system; a frame's own name may be that of any path."""
    if kind != "images":
        return [f"undistorted.{frame.plate_number:04d}" for frame in frames]
    stems: list[str] = []
    taken = set()
    for position, frame in enumerate(frames):
        stem = re.sub(r"[^\w.-]", "_", frame.name).lstrip(".")[-LONGEST_STEM:]
        while not stem or stem.casefold() in taken:
            stem = f"{stem}_{position}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def _reader(reconstruction: Reconstruction) -> Any:
    """A function from a frame to its picture (H, W, 3), BGR, as deep as the plate is."""
    if reconstruction.source.kind != "video":
        return lambda frame: _read_file(reconstruction.file_of(frame), frame)
    from ..inference.frames import open_source

    video = open_source([str(reconstruction.file_of(reconstruction.frames[0]))], kind="video")
    return lambda frame: np.ascontiguousarray(video.read(frame.index)[..., ::-1])


def _read_file(path: Path, frame: Frame) -> NDArray[Any]:
    from ..inference import pictures  # noqa: F401  (before OpenCV reads anything: it allows EXR)

    try:
        stored = np.fromfile(path, np.uint8)
        pixels = cv2.imdecode(stored, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)  # upright, too
    except (cv2.error, OSError):
        pixels = None
    if pixels is None:
        raise JobError("source", f"'{path}' cannot be read: is it still where it was solved from?")
    if pixels.shape[:2] != (frame.height, frame.width):
        raise JobError("source", f"'{path}' is not the picture that was solved: its size is another.")
    return pixels.astype(np.float32) if pixels.dtype.kind == "f" else pixels


def _save(path: Path, picture: NDArray[Any]) -> None:
    if path.suffix == ".exr":
        write_exr(path, {"B": picture[..., 0], "G": picture[..., 1], "R": picture[..., 2]})
        return
    done, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise JobError("output", f"'{path}' cannot be written.")
    path.write_bytes(encoded.tobytes())
