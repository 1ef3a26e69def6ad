"""Bringing one world onto another: similarity transforms, and which way is up.

Poses are OpenCV ``camera_from_world`` (3, 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

EXACT = 1e-6
"""Errors below this, in radians or in parts of the path, are none."""

ROUNDING = 1e-4
"""What rounding may do to a matrix, in parts of its scale: stretched by more it was on purpose."""


@dataclass(frozen=True)
class Similarity:
    """X' = scale * rotation @ X + translation, with rotation (3, 3) and translation (3,)."""

    scale: float
    rotation: Array
    translation: Array

    def apply(self, points: ArrayLike) -> Array:
        """The points (..., 3) in the new world."""
        return self.scale * np.asarray(points, np.float64) @ self.rotation.T + self.translation

    def apply_to_pose(self, camera_from_world: ArrayLike) -> Array:
        """The same camera seen from the new world, (3, 4); its depths grow by `scale`."""
        pose = np.asarray(camera_from_world, np.float64)
        rotation = pose[:, :3] @ self.rotation.T
        translation = self.scale * pose[:, 3] - rotation @ self.translation
        return np.column_stack([rotation, translation])

    def after(self, first: Similarity) -> Similarity:
        """Both as one: `first`, then this one."""
        return Similarity(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.scale * self.rotation @ first.translation + self.translation,
        )

    @classmethod
    def of_matrix(cls, rows: ArrayLike) -> Similarity:
        """The similarity nearest to a matrix (3, 4), by its polar decomposition. Raises ValueError where it shears,
        mirrors or flattens by more than `ROUNDING`."""
        matrix = np.asarray(rows, np.float64)
        left, stretch, right = np.linalg.svd(matrix[:, :3])
        scale = float(stretch.mean())
        if stretch[0] - stretch[2] > ROUNDING * scale or np.linalg.det(left @ right) < 0 or scale <= 0:
            raise ValueError("the matrix is no rotation with one scale")
        return cls(scale, left @ right, matrix[:, 3])

    def inverse(self) -> Similarity:
        """The way back."""
        rotation = self.rotation.T
        return Similarity(1 / self.scale, rotation, -rotation @ self.translation / self.scale)

    def matrix(self) -> Array:
        """The (4, 4) form."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.translation
        return matrix


def align_points(source: ArrayLike, target: ArrayLike, *, with_scale: bool = True) -> Similarity:
    """The similarity that takes `source` (N, 3) closest to `target` (N, 3) in least squares.

    After Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991. Points on
    one line leave the turn about it open, coinciding points the rotation and scale; the result is then one of the best.
    Raises ValueError for fewer than one point or unequal shapes.
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if a.shape != b.shape or a.ndim != 2 or len(a) < 1:
        raise ValueError(f"cannot align points of shape {a.shape} to {b.shape}")
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    covariance = (b - mean_b).T @ (a - mean_a) / len(a)
    left, singular, right = np.linalg.svd(covariance)
    signs = np.ones(3)
    if np.linalg.det(left) * np.linalg.det(right) < 0:
        signs[2] = -1
    rotation = (left * signs) @ right
    variance = ((a - mean_a) ** 2).sum() / len(a)
    scale = float(singular @ signs / variance) if with_scale and variance > 0 and singular[0] > 0 else 1.0
    return Similarity(scale, rotation, mean_b - scale * rotation @ mean_a)


def mean_rotation(rotations: ArrayLike) -> Array:
    """The rotation (3, 3) closest in the Frobenius norm to all of `rotations` (N, 3, 3)."""
    left, _, right = np.linalg.svd(np.asarray(rotations, np.float64).sum(axis=0))
    return left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right


def align_paths(source: ArrayLike, target: ArrayLike) -> Similarity:
    """The similarity that takes the places of poses `source` (N, 3, 4) closest to those of `target` (N, 3, 4), as the
    absolute trajectory error is defined.

    Where the target's places lie on a line or a point, the rotation comes from the cameras' own rotations, which places
    alone leave open.
    """
    from .cameras import camera_center

    centers_a, centers_b = camera_center(source), camera_center(target)
    spread = np.linalg.svd(centers_b - centers_b.mean(axis=0), compute_uv=False)
    if len(centers_a) >= 3 and _has_extent(centers_b) and spread[1] > 1e-3 * spread[0]:
        return align_points(centers_a, centers_b)
    return _turned(_mean_turn(source, target), centers_a, centers_b)


def align_cameras(source: ArrayLike, target: ArrayLike) -> Similarity:
    """The similarity that takes poses `source` (N, 3, 4) to `target` (N, 3, 4), by their places and their rotations.

    Both say how the one world is turned against the other, each as far as it agrees with itself: places weigh by the
    inverse of the variance that the best similarity leaves them, rotations by that about their mean turn. So a path
    that is straight but for its noise is not rolled about itself. Procrustes' problem over places and camera axes.
    """
    from .cameras import camera_center

    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    centers_a, centers_b = camera_center(a), camera_center(b)
    turn = _mean_turn(a, b)
    if len(a) < 3 or not (_has_extent(centers_a) and _has_extent(centers_b)):
        return _turned(turn, centers_a, centers_b)
    best = align_points(centers_a, centers_b)
    around_a, around_b = centers_a - centers_a.mean(axis=0), centers_b - centers_b.mean(axis=0)
    left_open = ((best.apply(centers_a) - centers_b) ** 2).sum() / (3 * len(a) - 7)
    places = left_open + (EXACT * np.abs(around_b).max()) ** 2
    away = np.swapaxes(b[:, :, :3], 1, 2) @ a[:, :, :3] - turn
    turns = (away**2).sum() / 2 / (3 * len(a) - 3) + EXACT**2  # of the angle about each axis
    # an axis of unit length moves by the sines of two of the three angles: half the weight for each
    covariance = best.scale * around_b.T @ around_a / places + len(a) * turn / (2 * turns)
    left, _, right = np.linalg.svd(covariance)
    rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    return _turned(rotation, centers_a, centers_b)


def _mean_turn(source: ArrayLike, target: ArrayLike) -> Array:
    """The rotation (3, 3) between the worlds that the cameras' own rotations say on average."""
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    return mean_rotation(np.swapaxes(b[:, :, :3], 1, 2) @ a[:, :, :3])


def _has_extent(centers: Array) -> bool:
    """Whether they are not all one place: cameras in one place differ by rounding at most."""
    return bool(np.abs(centers - centers.mean(axis=0)).max() > 1e-9 * np.abs(centers).max())


def _turned(rotation: Array, source: Array, target: Array) -> Similarity:
    """The similarity with that `rotation` that takes places `source` (N, 3) closest to `target` (N, 3)."""
    turned = source @ rotation.T
    around_a, around_b = turned - turned.mean(axis=0), target - target.mean(axis=0)
    moves = _has_extent(source) and _has_extent(target)
    scale = float((around_a * around_b).sum() / (around_a**2).sum()) if moves else 1.0
    scale = scale if scale > 0 else 1.0
    return Similarity(scale, rotation, target.mean(axis=0) - scale * turned.mean(axis=0))
