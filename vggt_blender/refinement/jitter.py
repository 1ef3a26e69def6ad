"""How much a path trembles: what of it a smooth move cannot be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import camera_center
from .rotations import rotation_vector

Array = NDArray[np.float64]

_NOISE_GAIN = np.sqrt(20.0)
"""Third differences (1, -3, 3, -1) enlarge independent noise by this."""


@dataclass(frozen=True)
class Jitter:
    """Root mean square noise from frame to frame: ``rotation`` in degrees, ``position`` in parts of a step (None for a
    camera that stays where it is)."""

    rotation: float
    position: float | None


def jitter(poses: Array) -> Jitter | None:
    """Noise of poses (N, 3, 4) in time order by their third differences; None for fewer than four.

    Third differences vanish on any path of constant acceleration; a real shake counts as jitter, too.
    """
    if len(poses) < 4:
        return None
    centers = camera_center(poses)
    shake = np.linalg.norm(np.diff(centers, 3, axis=0), axis=1) / _NOISE_GAIN
    step = float(np.median(np.linalg.norm(np.diff(centers, axis=0), axis=1)))
    turns = rotation_vector(poses[1:, :, :3] @ np.swapaxes(poses[:-1, :, :3], 1, 2))
    tremble = np.linalg.norm(np.diff(turns, 2, axis=0), axis=1) / _NOISE_GAIN
    return Jitter(
        rotation=float(np.degrees(np.sqrt((tremble**2).mean()))),
        position=float(np.sqrt((shake**2).mean()) / step) if step > 1e-9 else None,
    )
