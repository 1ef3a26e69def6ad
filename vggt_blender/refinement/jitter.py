"""How much a path trembles: what of it a smooth move cannot be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import camera_center
from ..geometry.rotations import rotation_vector

Array = NDArray[np.float64]

_NOISE_GAIN = np.sqrt(20.0)
"""Third differences (1, -3, 3, -1) enlarge independent noise by this."""


@dataclass(frozen=True)
class Jitter:
    """Root mean square noise from frame to frame: ``rotation`` in degrees, ``position`` in parts of a step (None for a
    camera that stays where it is)."""

    rotation: float
    position: float | None


def even_runs(placed: NDArray[np.bool_], times: NDArray[np.intp]) -> NDArray[np.intp]:
    """(M,) frames that begin four `placed` (N,) ones at even distances of `times` (N,)."""
    even = np.diff(times, 2) == 0
    return np.flatnonzero(placed[:-3] & placed[1:-2] & placed[2:-1] & placed[3:] & even[:-1] & even[1:])


def jitter(poses: Array, placed: NDArray[np.bool_], times: NDArray[np.intp]) -> Jitter | None:
    """Noise of poses (N, 3, 4) in time order by their third differences; None where no four frames in a row, numbered
    by `times` (N,), are `placed` (N,).

    Third differences vanish on any path of constant acceleration; a real shake counts as jitter, too.
    """
    rows = even_runs(placed, times)
    if not len(rows):
        return None
    centers = camera_center(poses)
    shake = np.linalg.norm(np.diff(centers, 3, axis=0)[rows], axis=1) / _NOISE_GAIN
    steps = np.unique(rows[:, None] + np.arange(3))
    step = float(np.median(np.linalg.norm(np.diff(centers, axis=0)[steps], axis=1)))
    turns = rotation_vector(poses[1:, :, :3] @ np.swapaxes(poses[:-1, :, :3], 1, 2))
    tremble = np.linalg.norm(np.diff(turns, 2, axis=0)[rows], axis=1) / _NOISE_GAIN
    return Jitter(
        rotation=float(np.degrees(np.sqrt((tremble**2).mean()))),
        position=float(np.sqrt((shake**2).mean()) / step) if step > 1e-9 else None,
    )
