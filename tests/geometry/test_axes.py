"""Other programs' axes and lenses, by projecting with their own rules."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vggt_blender.geometry import cameras
from vggt_blender.geometry.blender_axes import BLENDER_FROM_OPENCV, blender_lens, camera_matrix, points_to_blender
from vggt_blender.geometry.cameras import Lens
from vggt_blender.geometry.gltf_axes import camera_matrix_y_up, points_to_y_up

RNG = np.random.default_rng(11)
POSE = np.column_stack([cv2.Rodrigues(np.array([0.3, -0.7, 0.2]))[0], [0.4, -0.2, 1.1]])
POINTS = (np.column_stack([RNG.uniform(-1, 1, (60, 2)), RNG.uniform(3, 8, 60)]) - POSE[:, 3]) @ POSE[:, :3]


def test_up_is_up() -> None:
    assert np.allclose(points_to_blender([0.0, -1.0, 0.0]), [0, 0, 1])
    assert np.allclose(points_to_y_up([0.0, -1.0, 0.0]), [0, 1, 0])
    assert np.isclose(np.linalg.det(BLENDER_FROM_OPENCV), 1)


def test_precision_is_kept() -> None:
    for convert in (points_to_blender, points_to_y_up):
        assert convert(np.zeros((4, 3), np.float32)).dtype == np.float32
        assert convert(np.zeros((4, 3), np.float64)).dtype == np.float64


SIZES = {
    "landscape": (Lens(900, 900, 480, 270), 960, 540),
    "portrait": (Lens(900, 900, 270, 480), 540, 960),
    "off centre": (Lens(1200, 1200, 430, 300), 960, 540),
    "oblong pixels": (Lens(900, 940, 470, 280), 960, 540),
    "oblong the other way": (Lens(940, 900, 470, 280), 960, 540),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_blender_camera_projects_to_the_same_pixels(name: str) -> None:
    """Blender's manual: a sensor fitted to the width, shift in its widths, y up, looking along -z."""
    lens, width, height = SIZES[name]
    expected, _ = cameras.project(POINTS, POSE, lens)
    solved = blender_lens(lens.fx, lens.fy, lens.cx, lens.cy, width, height, sensor_width_mm=25.0)
    world = np.column_stack([points_to_blender(POINTS), np.ones(len(POINTS))])
    x, y, z, _ = np.linalg.inv(camera_matrix(POSE)) @ world.T
    assert (z < 0).all()
    aspect_x, aspect_y = solved.pixel_aspect
    on_sensor_x, on_sensor_y = x / -z * solved.focal_mm, y / -z * solved.focal_mm
    pixel_mm = solved.sensor_width_mm / width
    column = width / 2 + on_sensor_x / pixel_mm - solved.shift_x * width
    row = height / 2 - (on_sensor_y / pixel_mm - solved.shift_y * width) * aspect_x / aspect_y
    assert np.allclose(np.column_stack([column, row]), expected, atol=1e-6)


def test_a_y_up_camera_sees_the_same() -> None:
    world = np.column_stack([points_to_y_up(POINTS), np.ones(len(POINTS))])
    x, y, z, _ = np.linalg.inv(camera_matrix_y_up(POSE)) @ world.T
    camera = POINTS @ POSE[:, :3].T + POSE[:, 3]
    assert np.allclose(np.column_stack([x, -y, -z]), camera)
