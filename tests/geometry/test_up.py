"""Which way is up: from cameras alone, and from a ground that the points show."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_blender.geometry.blender_axes import leveling_matrix, points_to_blender
from vggt_blender.geometry.up import estimate_up

UP = np.array([0.0, -1.0, 0.0])  # of the room, in OpenCV's axes


def turned(degrees, axis):
    """A rotation (3, 3) about `axis`."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def cameras(yaws, pitch, rolls, height=1.5, spread=0.4):
    """Poses (N, 3, 4) at `height` over the floor y = 0, looking down by `pitch` degrees."""
    poses = []
    for place, (yaw, roll) in enumerate(zip(yaws, rolls, strict=True)):
        rotation = (turned(yaw, [0, 1, 0]) @ turned(-pitch, [1, 0, 0]) @ turned(roll, [0, 0, 1])).T
        poses.append(np.column_stack([rotation, -rotation @ [spread * place, -height, 0]]))
    return np.array(poses)


def into_world(world, poses, points):
    """Poses and points as a solver would give them: its world is `world` (3, 3) turned against the room."""
    return np.concatenate([poses[:, :, :3] @ world.T, poses[:, :, 3:]], axis=2), points @ world.T


def degrees_between(a, b):
    return np.degrees(np.arccos(np.clip(np.dot(a, b), -1, 1)))


def room(random, floor):
    walls = random.uniform([-4, -3, 3], [4, 0, 8], (2000, 3))
    return np.concatenate([walls, random.uniform([-4, 0, 1], [4, 0, 8], (floor, 3))]) + random.normal(0, 0.004, (1, 3))


@pytest.mark.parametrize("pitch", [0, 25])
def test_yawing_cameras_fix_the_horizon_even_when_they_look_down(pitch):
    world = turned(31, [1, 2, -1])
    random = np.random.default_rng(1)
    poses = cameras(np.linspace(-40, 40, 20), pitch, random.normal(0, 1, 20))
    up = estimate_up(into_world(world, poses, np.zeros((0, 3)))[0], np.zeros((0, 3)))
    assert degrees_between(up.direction, world @ UP) < 2.5
    assert up.ground is None


def test_ground_overrules_a_camera_that_looks_down_all_the_time():
    """A dolly that never turns knows nothing about its own tilt; the floor does."""
    world = turned(-50, [0.2, 1, 1])
    poses = cameras(np.zeros(12), 20, np.zeros(12))
    poses, points = into_world(world, poses, room(np.random.default_rng(2), 1500))
    up = estimate_up(poses, points)
    assert degrees_between(up.direction, world @ UP) < 0.5
    assert up.ground == pytest.approx(0, abs=0.03)
    blender = points_to_blender(points) @ leveling_matrix(up.direction, up.ground)[:3, :3].T
    blender = blender + leveling_matrix(up.direction, up.ground)[:3, 3]
    assert np.abs(blender[-1500:, 2]).max() < 0.06
    assert blender[:, 2].min() > -0.06


def test_a_table_gives_the_direction_but_not_the_ground():
    random = np.random.default_rng(3)
    table = random.uniform([-1, -0.8, 2], [1, -0.8, 4], (1500, 3))
    floor_bits = random.uniform([-4, -0.1, 1], [4, 0.0, 8], (500, 3))
    up = estimate_up(cameras(np.linspace(-30, 30, 9), 15, np.zeros(9)), np.concatenate([table, floor_bits]))
    assert degrees_between(up.direction, UP) < 0.5
    assert up.ground is None


def test_a_wall_is_not_a_ground():
    random = np.random.default_rng(4)
    wall = random.uniform([-4, -3, 6], [4, 0, 6], (3000, 3))
    up = estimate_up(cameras(np.zeros(5), 0, np.zeros(5)), wall)
    assert degrees_between(up.direction, UP) < 0.1
    assert up.ground is None


def test_portrait_pictures_of_one_camera_lean_on_its_top():
    up = estimate_up(cameras([0], 0, [0]), np.zeros((0, 3)))
    assert degrees_between(up.direction, UP) < 1e-3


@pytest.mark.parametrize("direction", [[0, -1, 0], [0, 1, 0], [0.3, -0.8, 0.2], [0, 0, 1]])
def test_leveling_turns_up_to_z(direction):
    matrix = leveling_matrix(direction, 2.0)
    up = points_to_blender(np.asarray(direction, float) / np.linalg.norm(direction))
    np.testing.assert_allclose(matrix[:3, :3] @ up, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(matrix[:3, :3] @ (2 * up) + matrix[:3, 3], [0, 0, 0], atol=1e-12)
