"""Sub-pixel tracks and epipolar lines by truth: a textured plane seen by known cameras."""

from __future__ import annotations

import cv2
import numpy as np
import pycolmap
import pytest

from vggt_blender.engines.colmap.matching import near_epipolar_lines
from vggt_blender.engines.colmap.solution import Observations, Solution
from vggt_blender.engines.colmap.subpixel import sharpen
from vggt_blender.geometry.cameras import Lens, project

LENS = Lens(300.0, 300.0, 160.0, 120.0)
DEPTH = 3.0


def poses() -> list[np.ndarray]:
    """Five cameras that look at the plane z = 3 from a line, each turned a little."""
    found = []
    for step in range(-2, 3):
        turn = cv2.Rodrigues(np.array([0.02 * step, 0.04 * step, 0.03 * step]))[0]
        found.append(np.column_stack([turn, turn @ [-0.15 * step, 0.02 * step, 0.1 * step]]))
    return found


def picture(pose: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """What a camera sees of a plane of smooth noise."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.normal(size=(900, 1200)), (0, 0), 4)
    texture = 128 + 40 * texture / texture.std()
    plane_from_texture = np.array([[0.005, 0, -3.0], [0, 0.005, -2.25], [0, 0, 1]])
    image_from_plane = LENS.matrix() @ np.column_stack([pose[:, :2], DEPTH * pose[:, 2] + pose[:, 3]])
    corner = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])  # OpenCV counts pixels from the first one's centre
    matrix = corner @ image_from_plane @ plane_from_texture
    seen = cv2.warpPerspective(texture.astype(np.float32), matrix, (320, 240), flags=cv2.INTER_CUBIC)
    return np.clip(np.round(seen + rng.normal(0, noise, seen.shape)), 0, 255).astype(np.uint8)


def points(count: int = 150) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.column_stack([rng.uniform(-0.9, 0.9, count), rng.uniform(-0.6, 0.6, count), np.full(count, DEPTH)])


def disturbed(xyz: np.ndarray, sigma: float) -> Solution:
    rng = np.random.default_rng(2)
    seen = [
        Observations(np.arange(len(xyz)), project(xyz, pose, LENS)[0] + rng.normal(0, sigma, (len(xyz), 2)))
        for pose in poses()
    ]
    return Solution(list(poses()), [LENS] * 5, seen, xyz)


def spread(observations: list[Observations], reference: int = 2) -> np.ndarray:
    """How far each observation is from where the reference view's own error, carried over the plane, puts it."""
    own = dict(zip(observations[reference].points, observations[reference].xy, strict=True))
    errors = []
    for view, pose in enumerate(poses()):
        if view == reference:
            continue
        rows = [row for row, point in enumerate(observations[view].points) if point in own]
        pixels = np.array([own[observations[view].points[row]] for row in rows])
        rays = np.column_stack([(pixels - [160, 120]) / 300, np.ones(len(rows))])
        turn, shift = poses()[reference][:, :3], poses()[reference][:, 3]
        center, directions = -turn.T @ shift, rays @ turn
        world = center + directions * ((DEPTH - center[2]) / directions[:, 2])[:, None]
        errors.append(np.linalg.norm(project(world, pose, LENS)[0] - observations[view].xy[rows], axis=1))
    return np.concatenate(errors)


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_observations_move_to_the_same_point_of_the_surface(noise: float) -> None:
    solution = disturbed(points(), 0.4)
    pictures = [picture(pose, noise) for pose in poses()]
    before = np.median(spread(solution.observations))
    sharp, share = sharpen(solution, [1.0] * 5, pictures.__getitem__, lambda done, total: None)
    assert before > 0.5
    assert share > 0.95
    assert np.median(spread(sharp)) < 0.08


def test_an_observation_of_something_else_is_left_out() -> None:
    solution = disturbed(points(), 0.2)
    wrong = solution.observations[4].xy.copy()
    wrong[:20] += [7.0, -5.0]
    solution.observations[4] = Observations(solution.observations[4].points, wrong)
    pictures = [picture(pose) for pose in poses()]
    sharp, _ = sharpen(solution, [1.0] * 5, pictures.__getitem__, lambda done, total: None)
    assert not set(range(20)) & set(sharp[4].points.tolist())
    assert len(sharp[4].points) > 120


def test_pictures_without_texture_leave_tracks_as_they_were() -> None:
    solution = disturbed(points(), 0.4)
    flat = np.full((240, 320), 90, np.uint8)
    sharp, share = sharpen(solution, [1.0] * 5, lambda position: flat, lambda done, total: None)
    assert share == 0
    for before, after in zip(solution.observations, sharp, strict=True):
        np.testing.assert_array_equal(before.xy, after.xy)


def test_loose_matches_count_on_the_epipolar_lines_of_sure_ones() -> None:
    rng = np.random.default_rng(3)
    xyz = np.column_stack([rng.uniform(-1, 1, (200, 2)), rng.uniform(2, 6, 200)])
    first, second = (project(xyz, pose, LENS)[0] for pose in (poses()[0], poses()[4]))
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", 300.0, 320, 240)
    sure = np.column_stack([np.arange(40)] * 2).astype(np.uint32)
    geometry = pycolmap.estimate_two_view_geometry(camera, first, camera, second, sure)
    right = np.column_stack([np.arange(200)] * 2).astype(np.uint32)
    wrong = np.column_stack([np.arange(200), np.roll(np.arange(200), 7)]).astype(np.uint32)
    assert near_epipolar_lines(geometry, first, second, right).all()
    assert near_epipolar_lines(geometry, first, second, wrong).mean() < 0.2
