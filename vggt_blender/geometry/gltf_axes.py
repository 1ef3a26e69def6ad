"""OpenCV to the y-up axes of glTF, Nuke and most of film: world and cameras turned half about x."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cameras import homogeneous, invert_pose

Array = NDArray[np.float64]

HALF_TURN_ABOUT_X: Array = np.diag([1.0, -1.0, -1.0])
"""(3, 3): its own inverse; y down and z forward become y up and z back."""


def points_to_y_up(points: ArrayLike) -> NDArray[np.floating]:
    """World points (..., 3) in y-up axes; float32 stays float32."""
    return np.asarray(points) * np.array([1, -1, -1], np.asarray(points).dtype)


def camera_matrix_y_up(camera_from_world: ArrayLike) -> Array:
    """The (4, 4) world_from_camera of a camera that looks along -z with y up, for an OpenCV pose (3, 4)."""
    turn = homogeneous(np.column_stack([HALF_TURN_ABOUT_X, np.zeros(3)]))
    return turn @ homogeneous(invert_pose(camera_from_world)) @ turn
