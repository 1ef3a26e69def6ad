"""The reconstruction folder, read: what an engine solved, as plain arrays and JSON.

This module may import the standard library, numpy and `geometry` only. World axes are OpenCV's (x right, y down, z
forward), the centre of the top-left pixel is at (0.5, 0.5), lengths are in one scene unit. The folder comes from
strangers: every field is checked, arrays are never unpickled, and sizes must agree before anything is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import Lens
from .archives import Kinds, Shape, read_archive
from .documents import read_json
from .messages import JobError
from .staging import DOCUMENT, is_complete

__all__ = [
    "DOCUMENT",
    "Frame",
    "Points",
    "Pose",
    "Reconstruction",
    "Source",
    "Tracks",
    "is_complete",
    "load_reconstruction",
]

FORMAT = "vggt-reconstruction"
VERSION = 1
LARGEST_WHOLE = 2**31 - 1
"""What Blender holds of a size, a frame or an index."""

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """Where the frames came from. ``kind`` is ``images``, ``sequence`` or ``video``; ``fps`` is None for stills."""

    kind: str
    path: str
    fps: float | None = None


@dataclass(frozen=True)
class Pose:
    """A solved camera: ``camera_from_world`` (3, 4) and a lens in source pixels.

    ``distortion`` is OpenCV's (k1, k2, p1, p2, k3), or None for a pinhole.
    """

    camera_from_world: Float64
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float] | None = None

    @property
    def lens(self) -> Lens:
        """The lens alone."""
        return Lens(self.fx, self.fy, self.cx, self.cy, self.distortion)


@dataclass(frozen=True)
class Frame:
    """One input frame; ``pose`` is None where the engine could not place it (not registered).

    ``index`` is 0-based in the source, ``number`` the plate's own (None for stills), ``width`` and ``height`` the
    source's pixels with EXIF orientation applied, ``depth_to_image`` (2, 3) the affine from depth-map coordinates to
    source pixels (None where the frame has no depth map).
    """

    name: str
    path: str
    index: int
    number: int | None
    width: int
    height: int
    pose: Pose | None = None
    depth_to_image: Float64 | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def registered(self) -> bool:
        return self.pose is not None

    @property
    def plate_number(self) -> int:
        """The plate's own number; a frame without one counts from 1 by its place in the source."""
        return self.index + 1 if self.number is None else self.number


RESIDUAL, OBSERVATIONS = "residual_px", "observations"
"""Entries of a frame: the median distance (source pixels) of what it sees from where the solution puts it; how many."""


SOLVED_AGAIN = "resolved"
"""An entry of the document: a list of what happened each time that some of its frames were solved again."""


def solved_again(extra: dict[str, Any]) -> frozenset[str]:
    """The names of the frames that got new cameras since the whole was solved."""
    try:
        return frozenset(str(name) for entry in extra.get(SOLVED_AGAIN, ()) for name in entry["better"])
    except (TypeError, KeyError):
        return frozenset()


def frame_quality(residuals: NDArray[np.floating[Any]]) -> dict[str, Any]:
    """A frame's entries for its `residuals` (M,) in source pixels; none where it sees nothing."""
    return {RESIDUAL: float(np.median(residuals)), OBSERVATIONS: len(residuals)} if len(residuals) else {}


@dataclass(frozen=True)
class Points:
    """Sparse structure: ``xyz`` (P, 3) float32, ``rgb`` (P, 3) uint8, ``error`` (P,) pixels, ``observations`` (P,)."""

    xyz: Float32
    rgb: NDArray[np.uint8]
    error: Float32
    observations: NDArray[np.int32]


@dataclass(frozen=True)
class Tracks:
    """Image tracks: ``xy`` (N, T, 2) source pixels, ``visible`` (N, T) bool, ``confidence`` (N, T) float32."""

    xy: Float32
    visible: NDArray[np.bool_]
    confidence: Float32


@dataclass(frozen=True)
class Reconstruction:
    """A complete reconstruction folder.

    ``depth`` and ``confidence`` are (N, h, w) float32, ``color`` (N, h, w, 3) uint8 sRGB, memory-mapped and read-only;
    all three are None where the engine made no depth. ``extra`` holds the document's entries beyond the format's own.
    """

    folder: Path
    engine: dict[str, Any]
    source: Source
    units: str
    frames: tuple[Frame, ...]
    depth: Float32 | None = None
    confidence: Float32 | None = None
    color: NDArray[np.uint8] | None = None
    points: Points | None = None
    tracks: Tracks | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def file_of(self, frame: Frame) -> Path:
        """Where the picture (or the video) of `frame` lies; relative paths count from the reconstruction folder."""
        path = Path(self.source.path if self.source.kind == "video" else frame.path)
        return path if path.is_absolute() else (self.folder / path).absolute()

    @property
    def residual(self) -> float | None:
        """What the engine reports as ``residual_px``, else the mean of its points' errors over their observations."""
        reported = self.engine.get("residual_px")
        if isinstance(reported, int | float) and math.isfinite(reported):
            return float(reported)
        points = self.points
        known = None if points is None else np.isfinite(points.error) & (points.observations > 0)
        if points is None or known is None or not known.any():
            return None
        return float(np.average(points.error[known], weights=points.observations[known]))

    def inputs(self) -> tuple[str, ...]:
        """The video, or the pictures, that it was made from."""
        return tuple(dict.fromkeys(str(self.file_of(frame)) for frame in self.frames))


def load_reconstruction(folder: Path | str) -> Reconstruction:
    """Open the reconstruction in `folder` (or beside the given ``reconstruction.json``).

    Raises `JobError` with one line that says what is wrong with the folder.
    """
    folder = Path(folder)
    if folder.name == DOCUMENT:
        folder = folder.parent
    document = _read_document(folder / DOCUMENT)
    frames = tuple(_frame(entry, position) for position, entry in enumerate(_list(document, "frames")))
    depth, confidence, color = _dense(folder, len(frames))
    known = {"format", "version", "engine", "source", "units", "frames"}
    return Reconstruction(
        folder=folder,
        engine=_value(document, "engine", dict),
        source=_source(_value(document, "source", dict)),
        units=_value(document, "units", str),
        frames=frames,
        depth=depth,
        confidence=confidence,
        color=color,
        points=_points(folder / "points.npz"),
        tracks=_tracks(folder / "tracks.npz", len(frames)),
        extra={key: value for key, value in document.items() if key not in known},
    )


def _read_document(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path)
    except FileNotFoundError:
        raise JobError("not_found", f"There is no finished reconstruction in '{path.parent}'.") from None
    except (OSError, ValueError) as failure:
        raise JobError("broken", f"'{path}' cannot be read: {failure}.") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise JobError("broken", f"'{path}' is not a reconstruction of this program.")
    if document.get("version") != VERSION:
        raise JobError("broken", f"'{path}' has version {document.get('version')}; this program reads {VERSION}.")
    return document


def _broken(what: str) -> JobError:
    return JobError("broken", f"The reconstruction is damaged: {what}. Solve the source again.")


def _value(entry: dict[str, Any], key: str, kind: type | tuple[type, ...]) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _broken(f"entry '{key}' is missing or of the wrong kind")
    return value


def _list(entry: dict[str, Any], key: str) -> list[dict[str, Any]]:
    values = _value(entry, key, list)
    if not all(isinstance(value, dict) for value in values):
        raise _broken(f"entry '{key}' is not a list of objects")
    return values


def _number(entry: dict[str, Any], key: str) -> float:
    value = float(_value(entry, key, (int, float)))
    if not math.isfinite(value):
        raise _broken(f"entry '{key}' is not a finite number")
    return value


def _whole(entry: dict[str, Any], key: str) -> int:
    value: int = _value(entry, key, int)
    if abs(value) > LARGEST_WHOLE:
        raise _broken(f"entry '{key}' is too large")
    return value


def _matrix(entry: dict[str, Any], key: str, shape: tuple[int, int]) -> Float64:
    try:
        matrix = np.asarray(entry.get(key), dtype=np.float64)
    except (TypeError, ValueError):
        raise _broken(f"'{key}' is not a matrix") from None
    if matrix.shape != shape or not np.isfinite(matrix).all():
        raise _broken(f"'{key}' is not a finite {shape[0]}x{shape[1]} matrix")
    return matrix


def _source(entry: dict[str, Any]) -> Source:
    kind = _value(entry, "kind", str)
    if kind not in ("images", "sequence", "video"):
        raise _broken(f"unknown kind of source '{kind}'")
    fps = None if entry.get("fps") is None else _number(entry, "fps")
    return Source(kind, _value(entry, "path", str), fps if fps is None or fps > 0 else None)


def _frame(entry: dict[str, Any], position: int) -> Frame:
    known = {"name", "path", "index", "number", "width", "height", "registered", "depth_to_image"} | _POSE_KEYS
    try:
        width, height = _whole(entry, "width"), _whole(entry, "height")
        if width < 1 or height < 1:
            raise _broken("a frame has no pixels")
        return Frame(
            name=_value(entry, "name", str),
            path=_value(entry, "path", str),
            index=_whole(entry, "index"),
            number=None if entry.get("number") is None else _whole(entry, "number"),
            width=width,
            height=height,
            pose=_pose(entry) if entry.get("registered") is True else None,
            depth_to_image=None if entry.get("depth_to_image") is None else _matrix(entry, "depth_to_image", (2, 3)),
            extra={key: value for key, value in entry.items() if key not in known},
        )
    except JobError as failure:
        raise JobError(failure.code, f"Frame {position}: {failure.message}") from None


_POSE_KEYS = {"camera_from_world", "fx", "fy", "cx", "cy", "distortion"}


def _pose(entry: dict[str, Any]) -> Pose:
    fx, fy, cx, cy = (_number(entry, key) for key in ("fx", "fy", "cx", "cy"))
    if fx <= 0 or fy <= 0:
        raise _broken("a focal length is not positive")
    distortion = None
    if entry.get("distortion") is not None:
        terms = _matrix({"distortion": [entry["distortion"]]}, "distortion", (1, 5))[0]
        distortion = (float(terms[0]), float(terms[1]), float(terms[2]), float(terms[3]), float(terms[4]))
    return Pose(_matrix(entry, "camera_from_world", (3, 4)), fx, fy, cx, cy, distortion)


def _dense(folder: Path, count: int) -> tuple[Float32 | None, Float32 | None, NDArray[np.uint8] | None]:
    depth = _open_array(folder / "depth.npy", np.float32)
    if depth is None:
        return None, None, None
    confidence = _open_array(folder / "confidence.npy", np.float32)
    color = _open_array(folder / "color.npy", np.uint8)
    if depth.ndim != 3 or depth.shape[0] != count:
        raise _broken(f"depth.npy is {depth.shape} for {count} frames")
    if confidence is None or confidence.shape != depth.shape:
        raise _broken("confidence.npy does not match depth.npy")
    if color is None or color.shape != (*depth.shape, 3):
        raise _broken("color.npy does not match depth.npy")
    return depth, confidence, color


def _open_array(path: Path, dtype: type) -> NDArray[Any] | None:
    if not path.is_file():
        return None
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as failure:  # a damaged header raises whatever its damaged part raises
        reason = str(failure).partition("\n")[0]
        raise _broken(f"'{path.name}' cannot be read ({reason})") from None
    if array.dtype != dtype:
        raise _broken(f"'{path.name}' holds {array.dtype}, not {np.dtype(dtype)}")
    return array


def _points(path: Path) -> Points | None:
    kinds: Kinds = {"xyz": np.float32, "rgb": np.uint8, "error": np.float32, "observations": np.int32}

    def fit(shapes: dict[str, Shape]) -> bool:
        count = shapes["error"]
        rows = (*count, 3)
        return len(count) == 1 and shapes == {"xyz": rows, "rgb": rows, "error": count, "observations": count}

    arrays = _open_archive(path, kinds, fit)
    return None if arrays is None else Points(**arrays)


def _tracks(path: Path, frames: int) -> Tracks | None:
    kinds: Kinds = {"xy": np.float32, "visible": np.bool_, "confidence": np.float32}

    def fit(shapes: dict[str, Shape]) -> bool:
        each = shapes["visible"]
        whole = len(each) == 2 and each[0] == frames
        return whole and shapes == {"xy": (*each, 2), "visible": each, "confidence": each}

    arrays = _open_archive(path, kinds, fit)
    return None if arrays is None else Tracks(**arrays)


def _open_archive(path: Path, kinds: Kinds, fit: Callable[[dict[str, Shape]], bool]) -> dict[str, NDArray[Any]] | None:
    if not path.is_file():
        return None
    try:
        return read_archive(path, kinds, fit)
    except Exception as failure:  # a damaged zip raises whatever its damaged part raises
        reason = str(failure).partition("\n")[0]
        raise _broken(f"'{path.name}' cannot be read ({reason})") from None
