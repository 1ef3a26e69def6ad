"""Camera moves, by hand-checked geometry."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("bpy")

from benchmarks.truth import paths
from vggt_blender.geometry.blender_axes import BLENDER_FROM_OPENCV
from vggt_blender.geometry.cameras import Lens, camera_center, project

LENS = Lens(100, 100, 50, 40)


def pixel(point, pose):
    return project(BLENDER_FROM_OPENCV.T @ np.asarray(point, float), pose, LENS)[0]


def test_the_target_is_in_the_centre_and_up_is_up():
    pose = paths.look_at((1, -4, 2), (2, 3, 1))
    assert np.allclose(BLENDER_FROM_OPENCV @ camera_center(pose), (1, -4, 2))
    assert np.allclose(pixel((2, 3, 1), pose), (50, 40))
    above, beside = pixel((2, 3, 1.5), pose), pixel((2.7, 2.9, 1), pose)
    assert above[1] < 40
    assert above[0] == pytest.approx(50)
    assert beside[0] > 50


def test_a_positive_roll_turns_the_camera_clockwise():
    pose = paths.look_at((0, 0, 0), (0, 5, 0), roll_degrees=30)
    x, y = pixel((0, 5, 1), pose) - [50, 40]
    # what is above leans to the left of the picture
    assert np.degrees(np.arctan2(-x, -y)) == pytest.approx(30)


def test_curves_pass_through_their_points():
    knots = [(0, 0, 0), (1, 2, 0), (3, 2, 1), (4, 0, 0)]
    assert np.allclose(paths.through(knots, 4), knots)
    assert np.allclose(paths.through(knots[:2], 5), np.linspace(knots[0], knots[1], 5))


def test_an_arc_stays_on_its_circle():
    positions = paths.arc((1, 2, 0.5), 3.0, 1.0, (0, 90), 7)
    assert np.allclose(positions[0], (4, 2, 1.5))
    assert np.allclose(positions[-1], (1, 5, 1.5))
    assert np.allclose(np.linalg.norm(positions[:, :2] - [1, 2], axis=1), 3)


def test_shaking_is_seeded_and_of_the_size_that_was_asked_for():
    first, again, other = paths.shake(400, 0.5, 1), paths.shake(400, 0.5, 1), paths.shake(400, 0.5, 2)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert 0.4 < first.std() < 0.65
