"""Cameras against OpenCV and against finite differences."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vggt_blender.geometry import cameras
from vggt_blender.geometry.cameras import Lens

RNG = np.random.default_rng(7)
WIDE = (-0.28, 0.09, 1.5e-3, -8e-4, -0.012)
LENSES = {
    "pinhole": Lens(900.0, 870.0, 311.5, 250.25),
    "barrel": Lens(620.0, 640.0, 330.0, 228.0, WIDE),
    "pincushion": Lens(1400.0, 1380.0, 300.0, 260.0, (0.15, -0.02, -1e-3, 2e-3, 0.004)),
}


def random_pose(rng: np.random.Generator = RNG) -> np.ndarray:
    rotation, _ = cv2.Rodrigues(rng.normal(0, 0.8, 3))
    return np.column_stack([rotation, rng.normal(0, 1, 3)])


def points_before(pose: np.ndarray, count: int = 200) -> np.ndarray:
    """World points that `pose` sees, 2 to 9 units away."""
    depth = RNG.uniform(2, 9, count)
    camera = np.column_stack([RNG.uniform(-0.45, 0.45, count) * depth, RNG.uniform(-0.35, 0.35, count) * depth, depth])
    return (camera - pose[:, 3]) @ pose[:, :3]


def by_opencv(points: np.ndarray, pose: np.ndarray, lens: Lens) -> np.ndarray:
    rotation, _ = cv2.Rodrigues(np.ascontiguousarray(pose[:, :3]))
    distortion = np.array(lens.distortion or np.zeros(5), np.float64)
    pixels, _ = cv2.projectPoints(points.reshape(-1, 1, 3), rotation, pose[:, 3], lens.matrix(), distortion)
    return pixels.reshape(-1, 2)


@pytest.mark.parametrize("name", LENSES)
def test_projection_is_opencvs(name: str) -> None:
    lens, pose = LENSES[name], random_pose()
    points = points_before(pose)
    pixels, depth = cameras.project(points, pose, lens)
    assert np.allclose(pixels, by_opencv(points, pose, lens), atol=1e-8)
    assert np.allclose(depth, points @ pose[2, :3] + pose[2, 3])


@pytest.mark.parametrize("name", LENSES)
def test_unprojection_undoes_projection(name: str) -> None:
    lens, pose = LENSES[name], random_pose()
    points = points_before(pose)
    pixels, depth = cameras.project(points, pose, lens)
    assert np.allclose(cameras.unproject(pixels, depth, pose, lens), points, atol=1e-9)


def test_what_is_behind_has_no_pixel() -> None:
    points = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.1, 0.0, 0.0]])
    pixels, _ = cameras.project(points, np.eye(3, 4), LENSES["barrel"])
    assert np.isfinite(pixels[0]).all()
    assert np.isnan(pixels[1:]).all()


def test_beyond_the_fold_there_is_no_ray() -> None:
    strong = (-0.4, 0.0, 0.0, 0.0, 0.0)  # r (1 - 0.4 r^2) turns back at r = 0.913, where it is 0.6086
    undistorted = cameras.undistort([[0.6, 0.0], [0.62, 0.0]], strong)
    assert np.allclose(cameras.distort(undistorted[0], strong), [0.6, 0.0], atol=1e-9)
    assert undistorted[0, 0] < 0.913
    assert np.isnan(undistorted[1]).all()


@pytest.mark.parametrize(
    "lens", [(-0.25, 0, 0, 0, 0), (-0.3, 0, 0, 0, 0), (-0.4, 0.05, 0, 0, 0), (-0.3, 0.1, 0, 0, -0.02)]
)
def test_no_ray_is_from_beyond_the_fold(lens: tuple[float, ...]) -> None:
    ideal = np.linspace(0, 3, 3001)
    falls = np.diff(cameras.distort(np.stack([ideal, 0 * ideal], axis=-1), lens)[:, 0]) < 0
    fold = ideal[np.argmax(falls)]
    assert cameras.fold_radius(lens) == pytest.approx(fold, abs=2e-3)
    reach = cameras.distort([fold, 0.0], lens)[0]
    angles = np.linspace(0, 2 * np.pi, 7)
    targets = np.linspace(0.1, 2.0, 96)[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    rays = cameras.undistort(targets, lens)
    radii = np.linalg.norm(targets, axis=-1)
    assert np.isnan(rays[radii > reach]).all()
    inside = radii < reach - 1e-4
    assert np.allclose(cameras.distort(rays[inside], lens), targets[inside], atol=1e-9)
    assert ((rays[inside] * targets[inside]).sum(axis=-1) > 0).all()
    assert (np.linalg.norm(rays[inside], axis=-1) < fold + 2e-3).all()


def test_the_slope_of_distortion_is_its_finite_difference() -> None:
    rays, step = RNG.uniform(-0.6, 0.6, (50, 2)), 1e-6
    jacobian = cameras._distortion_jacobian(rays, WIDE)
    for axis in range(2):
        shift = np.eye(2)[axis] * step
        measured = (cameras.distort(rays + shift, WIDE) - cameras.distort(rays - shift, WIDE)) / (2 * step)
        assert np.allclose(jacobian[..., axis], measured, atol=1e-8)


def test_a_resized_lens_sees_the_same() -> None:
    lens, pose = LENSES["barrel"], random_pose()
    points = points_before(pose)
    full, _ = cameras.project(points, pose, lens)
    small, _ = cameras.project(points, pose, lens.scaled(0.5, 0.25))
    assert np.allclose(small, full * [0.5, 0.25])


def test_samples_lie_at_the_centres_of_their_pixels() -> None:
    affine = [[4.0, 0.0, 1.5], [0.0, 4.1, -0.5]]
    pixels = cameras.sample_pixels((3, 5), affine)
    assert pixels.shape == (3, 5, 2)
    assert np.allclose(pixels[0, 0], [0.5 * 4 + 1.5, 0.5 * 4.1 - 0.5])
    assert np.allclose(pixels[2, 4], [4.5 * 4 + 1.5, 2.5 * 4.1 - 0.5])


def test_poses_and_centres() -> None:
    poses = np.stack([random_pose() for _ in range(6)])
    for pose, center in zip(poses, cameras.camera_center(poses), strict=True):
        assert np.allclose(pose[:, :3] @ center + pose[:, 3], 0)
        both = cameras.homogeneous(pose) @ cameras.homogeneous(cameras.invert_pose(pose))
        assert np.allclose(both, np.eye(4))


def test_quaternions_are_opencvs_rotations() -> None:
    turns = [RNG.normal(0, 2, 3) for _ in range(50)]
    turns += [np.pi * axis for axis in np.eye(3)] + [np.zeros(3), np.array([np.pi / 2, 0, 0])]
    for turn in turns:
        rotation, _ = cv2.Rodrigues(turn)
        quaternion = cameras.quaternion_from_rotation(rotation)
        angle = np.linalg.norm(turn)
        axis = turn / angle if angle else turn
        expected = np.array([np.cos(angle / 2), *(np.sin(angle / 2) * axis)])
        assert np.isclose(abs(quaternion @ expected), 1, atol=1e-9)
        assert quaternion[0] >= 0
        assert np.allclose(cameras.rotation_from_quaternion(3 * quaternion), rotation, atol=1e-9)


def test_signs_are_chosen_so_that_nothing_turns_the_long_way() -> None:
    angles = np.linspace(0, 4 * np.pi, 60)
    rotations = [cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0] for angle in angles]
    raw = np.array([cameras.quaternion_from_rotation(rotation) for rotation in rotations])
    smooth = cameras.continuous_quaternions(raw)
    assert (np.einsum("ni,ni->n", raw[1:], raw[:-1]) < 0).any(), "there was something to do"
    assert (np.einsum("ni,ni->n", smooth[1:], smooth[:-1]) > 0.9).all()
    for quaternion, rotation in zip(smooth, rotations, strict=True):
        assert np.allclose(cameras.rotation_from_quaternion(quaternion), rotation)
