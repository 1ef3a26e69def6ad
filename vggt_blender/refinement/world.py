"""A finished reconstruction moved as a whole: another origin, other axes, another unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..exchange.reconstruction import Frame
from ..geometry.alignment import Similarity
from .rewriting import rewriting

METERS = "m"


def move_world(folder: Path, move: Similarity, units: str | None = None, extra: dict[str, Any] | None = None) -> None:
    """Write the reconstruction in `folder` anew as seen from the world that `move` leads to.

    With `units` its unit is that from now on; entries of `extra` are added to the document.
    """
    with rewriting(folder, move.scale) as draft:
        draft.frames = [_moved(frame, move) for frame in draft.frames]
        if draft.points is not None:
            draft.points = replace(draft.points, xyz=move.apply(draft.points.xyz).astype(np.float32))
        draft.units = units or draft.units
        draft.extra |= extra or {}


def _moved(frame: Frame, move: Similarity) -> Frame:
    if frame.pose is None:
        return frame
    return replace(frame, pose=replace(frame.pose, camera_from_world=move.apply_to_pose(frame.pose.camera_from_world)))
