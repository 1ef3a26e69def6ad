"""``truth.json``: known cameras, and depth where it is known.

World, lenses and pixels follow `geometry.cameras`. Numpy only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exchange.messages import JobError
from ..geometry.cameras import Lens

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TruthFrame:
    """A known camera: ``camera_from_world`` (3, 4), the lens in pixels of ``width`` x ``height``, and Z depth or None.

    ``depth`` (h, w) float32 spans the whole picture, NaN where nothing is known; it may be smaller than the picture.
    """

    name: str
    width: int
    height: int
    camera_from_world: Array
    lens: Lens
    depth: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Truth:
    """The known cameras of a shot, in order."""

    frames: tuple[TruthFrame, ...]


def load_truth(path: Path | str) -> Truth:
    """Read a ``truth.json``; depth maps are memory-mapped. Raises `JobError` with one line that says what is wrong.

    Beside the format's entries, a frame may carry its own ``width`` and ``height``.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JobError("not_found", f"There is no truth at '{path}'.") from None
    except (OSError, ValueError) as failure:
        raise JobError("broken", f"'{path}' cannot be read: {failure}.") from None
    entries = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise JobError("broken", f"'{path}' holds no frames: it is not a truth.json.")
    frames = []
    for position, entry in enumerate(entries):
        try:
            frames.append(_frame(entry, document, path.parent))
        except (KeyError, TypeError, ValueError, OSError) as failure:
            raise JobError("broken", f"Frame {position} of '{path}' is unusable: {failure}.") from None
    return Truth(tuple(frames))


def _frame(entry: dict[str, Any], document: dict[str, Any], folder: Path) -> TruthFrame:
    pose = np.asarray(entry["camera_from_world"], np.float64)
    fx, fy, cx, cy = (float(entry[key]) for key in ("fx", "fy", "cx", "cy"))
    width, height = (int(entry.get(key) or document[key]) for key in ("width", "height"))
    distortion = entry.get("distortion")
    terms = None if distortion is None else [float(term) for term in distortion]
    if pose.shape != (3, 4) or not np.isfinite(pose).all():
        raise ValueError("camera_from_world is not a finite 3x4 matrix")
    if not (fx > 0 and fy > 0 and np.isfinite([fx, fy, cx, cy]).all() and width > 0 and height > 0):
        raise ValueError("the lens or the size is not positive")
    if terms is not None and (len(terms) != 5 or not np.isfinite(terms).all()):
        raise ValueError("distortion is not k1 k2 p1 p2 k3")
    depth = None if entry.get("depth") is None else _depth(folder, str(entry["depth"]))
    return TruthFrame(str(entry["name"]), width, height, pose, Lens(fx, fy, cx, cy, terms), depth)


def _depth(folder: Path, relative: str) -> NDArray[np.float32]:
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"depth '{relative}' lies outside the truth's folder")
    depth = np.load(path, mmap_mode="r", allow_pickle=False)
    if depth.ndim != 2 or depth.dtype.kind != "f":
        raise ValueError(f"depth '{relative}' is not a map of floats")
    return depth
