"""One world onto another: what was turned, scaled and moved comes back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vggt_blender.geometry import cameras
from vggt_blender.geometry.alignment import Similarity, align_cameras, align_paths, align_points, mean_rotation
from vggt_blender.geometry.cameras import Lens

RNG = np.random.default_rng(3)


def rotation(*turn: float) -> np.ndarray:
    return cv2.Rodrigues(np.array(turn))[0]


CHANGE = Similarity(2.5, rotation(0.4, -1.1, 0.7), np.array([3.0, -1.0, 0.5]))


def test_a_change_of_world_leaves_pictures_alone_and_scales_depth() -> None:
    pose = np.column_stack([rotation(0.3, 0.2, -0.1), [0.1, 0.2, 0.3]])
    points = (np.column_stack([RNG.uniform(-1, 1, (50, 2)), RNG.uniform(3, 6, 50)]) - pose[:, 3]) @ pose[:, :3]
    lens = Lens(900, 900, 320, 240, (-0.1, 0.02, 1e-3, 0, 0))
    pixels, depth = cameras.project(points, pose, lens)
    changed_pixels, changed_depth = cameras.project(CHANGE.apply(points), CHANGE.apply_to_pose(pose), lens)
    assert np.allclose(changed_pixels, pixels)
    assert np.allclose(changed_depth, 2.5 * depth)
    assert np.allclose(np.column_stack([points, np.ones(50)]) @ CHANGE.matrix().T[:, :3], CHANGE.apply(points))


def test_points_find_their_change() -> None:
    points = RNG.normal(0, 2, (40, 3))
    found = align_points(points, CHANGE.apply(points))
    assert np.allclose(found.matrix(), CHANGE.matrix())


def test_a_mirror_is_never_the_answer() -> None:
    points = RNG.normal(0, 1, (40, 3))
    found = align_points(points, points * [1, 1, -1])
    assert np.isclose(np.linalg.det(found.rotation), 1)


def test_the_nearest_similarity_of_a_matrix() -> None:
    skewed = CHANGE.matrix()[:3] @ np.diag([1.00002, 1, 1, 1])
    found = Similarity.of_matrix(skewed)
    assert np.allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-12)
    assert np.allclose(found.matrix(), CHANGE.matrix(), atol=1e-4)
    for wrong in ([1.001, 1, 1, 1], [-1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1]):
        with pytest.raises(ValueError, match="one scale"):
            Similarity.of_matrix(CHANGE.matrix()[:3] @ np.diag(wrong))


def test_without_scale_there_is_none() -> None:
    points = RNG.normal(0, 1, (40, 3))
    found = align_points(points, 3 * points @ CHANGE.rotation.T, with_scale=False)
    assert found.scale == 1.0
    assert np.allclose(found.rotation, CHANGE.rotation)


def test_it_is_the_least_squares_answer() -> None:
    points = RNG.normal(0, 1, (30, 3))
    target = CHANGE.apply(points) + RNG.normal(0, 0.05, (30, 3))
    best = align_points(points, target)
    error = ((best.apply(points) - target) ** 2).sum()
    for _ in range(30):
        other = Similarity(
            best.scale * (1 + RNG.normal(0, 1e-3)),
            rotation(*RNG.normal(0, 1e-3, 3)) @ best.rotation,
            best.translation + RNG.normal(0, 1e-3, 3),
        )
        assert ((other.apply(points) - target) ** 2).sum() >= error


@pytest.mark.parametrize("shapes", [((0, 3), (0, 3)), ((3, 3), (4, 3)), ((3,), (3,))])
def test_what_cannot_be_aligned_says_so(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="cannot align"):
        align_points(np.zeros(shapes[0]), np.zeros(shapes[1]))


PATHS = {
    "a curve": np.column_stack([np.linspace(0, 4, 8), np.sin(np.linspace(0, 4, 8)), np.linspace(0, 1, 8) ** 2]),
    "a straight line": np.outer(np.linspace(0, 3, 8), [1.0, 0.2, -0.1]),
    "two cameras": np.array([[0.0, 0, 0], [1, 0, 0]]),
    "one place": np.zeros((5, 3)),
    "one camera": np.zeros((1, 3)),
}


@pytest.mark.parametrize("name", PATHS)
def test_cameras_find_their_change(name: str) -> None:
    poses = []
    for place in PATHS[name]:
        turn = rotation(*RNG.normal(0, 0.5, 3))
        poses.append(np.column_stack([turn, -turn @ place]))
    target = [CHANGE.apply_to_pose(pose) for pose in poses]
    found = align_cameras(poses, target)
    moved = np.array([found.apply_to_pose(pose) for pose in poses])
    assert np.allclose(moved[:, :, :3], np.array(target)[:, :, :3])
    assert np.allclose(cameras.camera_center(moved), cameras.camera_center(target))
    assert found.scale == pytest.approx(2.5 if np.ptp(PATHS[name]) else 1.0)


def cameras_at(places: np.ndarray, wrong: float, seed: int = 0) -> np.ndarray:
    """Poses that look along z but for turns of `wrong` radians."""
    turns = [rotation(*turn) for turn in np.random.default_rng(seed).normal(0, wrong, (len(places), 3))]
    return np.stack([np.column_stack([turn, -turn @ place]) for turn, place in zip(turns, places, strict=True)])


@pytest.mark.parametrize("drift", [0.0005, 0.002, 0.01, 0.05])
@pytest.mark.parametrize("wrong", [0.0, 0.01])
def test_the_noise_of_a_straight_path_does_not_roll_the_world(drift: float, wrong: float) -> None:
    straight = np.outer(np.linspace(0, 6, 24), [1.0, 0, 0])
    for seed in range(3):
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(24, 3)).cumsum(axis=0)
        target = cameras_at(straight + 6 * drift * noise / np.abs(noise).max(), wrong, seed)
        found = align_cameras(cameras_at(straight + rng.normal(0, 1e-4, (24, 3)), 0), target)
        assert np.degrees(np.linalg.norm(cv2.Rodrigues(found.rotation)[0])) < (0.001 if wrong == 0 else 1.0)


def test_good_places_outweigh_poor_rotations_and_the_other_way_round() -> None:
    places = PATHS["a curve"]
    moved = np.stack([CHANGE.apply_to_pose(pose) for pose in cameras_at(places, 0.0)])
    by_places = align_cameras(cameras_at(places, 0.05), moved)
    by_rotations = align_cameras(cameras_at(places + RNG.normal(0, 0.2, places.shape), 0.0), moved)
    for found in (by_places, by_rotations):
        assert np.allclose(found.rotation, CHANGE.rotation, atol=1e-3)
    assert by_places.scale == pytest.approx(CHANGE.scale, rel=1e-3)


@pytest.mark.parametrize("name", PATHS)
def test_paths_find_their_change(name: str) -> None:
    poses = cameras_at(PATHS[name], 0.5)
    target = np.stack([CHANGE.apply_to_pose(pose) for pose in poses])
    found = align_paths(poses, target)
    assert np.allclose([found.apply_to_pose(pose) for pose in poses], target)


def test_the_mean_of_rotations_about_one_axis_is_their_middle() -> None:
    turns = [rotation(0, angle, 0) for angle in (0.1, 0.2, 0.6)]
    assert np.allclose(mean_rotation(turns), rotation(0, 0.3, 0), atol=2e-2)
    pair = [rotation(0.2, 0, 0), rotation(-0.2, 0, 0)]
    assert np.allclose(mean_rotation(pair), np.eye(3))
