"""OpenCV to Blender, once: axes, camera matrices, and a lens in pixels as Blender's focal length and shift.

Blender's world has z up; its cameras look along -z with y up. A world point (x, y, z) of OpenCV becomes (x, z, -y).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cameras import homogeneous, invert_pose

Array = NDArray[np.float64]

BLENDER_FROM_OPENCV: Array = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""World axes, (3, 3)."""

OPENCV_CAMERA_FROM_BLENDER_CAMERA: Array = np.diag([1.0, -1.0, -1.0, 1.0])


def points_to_blender(points: ArrayLike) -> NDArray[np.floating]:
    """World points (..., 3) in Blender's axes; float32 stays float32."""
    values = np.asarray(points)
    return np.stack([values[..., 0], values[..., 2], -values[..., 1]], axis=-1)


def points_from_blender(points: ArrayLike) -> NDArray[np.floating]:
    """World points (..., 3) in OpenCV's axes; undoes `points_to_blender`."""
    values = np.asarray(points)
    return np.stack([values[..., 0], -values[..., 2], values[..., 1]], axis=-1)


def camera_matrix(camera_from_world: ArrayLike) -> Array:
    """The (4, 4) matrix of a Blender camera object for an OpenCV pose (3, 4)."""
    world_from_camera = homogeneous(invert_pose(camera_from_world))
    turn = np.eye(4)
    turn[:3, :3] = BLENDER_FROM_OPENCV
    return turn @ world_from_camera @ OPENCV_CAMERA_FROM_BLENDER_CAMERA


def opencv_pose(matrix: ArrayLike) -> Array:
    """The OpenCV pose (3, 4) of a Blender camera object's (4, 4) matrix without scale: undoes `camera_matrix`."""
    turn = np.eye(4)
    turn[:3, :3] = BLENDER_FROM_OPENCV.T
    return invert_pose((turn @ np.asarray(matrix, np.float64) @ OPENCV_CAMERA_FROM_BLENDER_CAMERA)[:3])


def leveling_matrix(up: ArrayLike, ground: float | None = None) -> Array:
    """The (4, 4) matrix that stands a converted world upright: OpenCV direction `up` (3,) becomes z, by the shortest
    turn, and what lies at height `ground` along it comes to z = 0."""
    x, y, z = BLENDER_FROM_OPENCV @ (np.asarray(up, np.float64) / np.linalg.norm(up))
    matrix = np.eye(4)
    if z > -1 + 1e-9:
        matrix[:3, :3] += np.array([[-x * x, -x * y, 0], [-x * y, -y * y, 0], [0, 0, -x * x - y * y]]) / (1 + z)
        matrix[:3, 2] -= [x, y, 0]
        matrix[2, :3] += [x, y, 0]
    else:
        matrix[1, 1] = matrix[2, 2] = -1.0
    matrix[2, 3] = 0.0 if ground is None else -ground
    return matrix


@dataclass(frozen=True)
class BlenderLens:
    """A lens for a camera whose sensor is fitted to the picture's width.

    ``focal_mm`` and ``sensor_width_mm`` in millimetres, ``shift_x`` and ``shift_y`` in picture widths, ``pixel_aspect``
    as (x, y) of the render settings.
    """

    focal_mm: float
    sensor_width_mm: float
    shift_x: float
    shift_y: float
    pixel_aspect: tuple[float, float]


def blender_lens(
    fx: float, fy: float, cx: float, cy: float, width: int, height: int, sensor_width_mm: float = 36.0
) -> BlenderLens:
    """Blender's terms for intrinsics in pixels of a `width` x `height` picture.

    With the sensor fitted to the width one pixel column is ``sensor_width_mm / width`` wide. fx != fy is a pixel that
    is not square: ``fy / fx`` of its width to its height. Lens distortion has no place in Blender's camera.
    """
    aspect = fy / fx
    aspect = 1.0 if abs(aspect - 1.0) < 1e-9 else aspect
    return BlenderLens(
        focal_mm=fx / width * sensor_width_mm,
        sensor_width_mm=sensor_width_mm,
        shift_x=(width / 2 - cx) / width,
        shift_y=(cy - height / 2) / (aspect * width),
        pixel_aspect=(aspect, 1.0) if aspect >= 1.0 else (1.0, 1.0 / aspect),
    )
