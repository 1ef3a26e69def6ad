"""Which way is up, and where the ground lies: a suggestion from the cameras and the points.

World axes are OpenCV's. Nothing here knows units; lengths are relative to how far the points are from the cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cameras import camera_center

Array = NDArray[np.float64]

PRIOR_WEIGHT = 0.01  # of the cameras' mean up against the horizon that their right-hand axes span
SPAN = 0.01  # mean squared sine of the right-hand axes' spread from which they fix the horizon (about +-8 degrees)
SURE_DEGREES, UNSURE_DEGREES = 12.0, 35.0  # how far the ground may disagree with the cameras, horizon fixed or not
THICKNESS = 0.01  # of the ground, in median distances from camera to points
SUPPORT = 0.12  # share of the points that the ground holds at least
BELOW = 0.05  # share of the points that may lie under it


@dataclass(frozen=True)
class Up:
    """``direction`` (3,) is a unit vector; ``ground`` the height of the ground along it (``direction @ X``), or None
    where no plane could be trusted."""

    direction: Array
    ground: float | None


def estimate_up(poses: ArrayLike, points: ArrayLike, seed: int = 0) -> Up:
    """Up from camera poses (N, 3, 4) and world points (M, 3); N >= 1, M may be 0.

    People hold cameras level: their right-hand axes lie in the horizon, and on average their tops point up. Where the
    points hold a large plane below the cameras that agrees with this, the plane decides.
    """
    cameras = np.asarray(poses, np.float64)
    direction, sure = _up_of_cameras(cameras)
    cloud = np.asarray(points, np.float64)
    if len(cloud) < 200:
        return Up(direction, None)
    centers = camera_center(cameras)
    scale = float(np.median(np.linalg.norm(cloud - centers.mean(axis=0), axis=1)))
    tolerance = SURE_DEGREES if sure else UNSURE_DEGREES
    return _ground(cloud, centers, direction, tolerance, THICKNESS * scale, np.random.default_rng(seed))


def _up_of_cameras(cameras: Array) -> tuple[Array, bool]:
    rights, tops = cameras[:, 0, :3], -cameras[:, 1, :3]
    scatter = rights.T @ rights / len(cameras)
    sure = bool(np.linalg.eigvalsh(scatter)[1] > SPAN)
    up = np.linalg.solve(scatter + PRIOR_WEIGHT * np.eye(3), tops.mean(axis=0))
    length = float(np.linalg.norm(up))
    return (up / length if length > 1e-9 else tops[0]), sure


def _ground(
    cloud: Array, centers: Array, prior: Array, tolerance: float, thickness: float, random: np.random.Generator
) -> Up:
    sample = cloud[random.permutation(len(cloud))[:4000]]
    corners = sample[random.integers(0, len(sample), (1500, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 0] / lengths[lengths > 0, None]
    normals *= np.where(normals @ prior < 0, -1.0, 1.0)[:, None]
    level = normals @ prior > np.cos(np.radians(tolerance))
    normals, heights = normals[level], np.einsum("ij,ij->i", normals[level], corners[lengths > 0][level, 0])
    if len(heights) == 0:
        return Up(prior, None)
    few = sample[:2000]
    counts = (np.abs(few @ normals.T - heights) < thickness).sum(axis=0)
    best = int(counts.argmax())
    normal, height = normals[best], float(heights[best])
    for _ in range(3):
        near = sample[np.abs(sample @ normal - height) < thickness]
        if len(near) < 3:
            return Up(prior, None)
        middle = near.mean(axis=0)
        normal = np.linalg.svd(near - middle, full_matrices=False)[2][2]
        normal = normal if normal @ prior > 0 else -normal
        height = float(normal @ middle)
    over = sample @ normal - height
    trusted = (
        (np.abs(over) < thickness).mean() >= SUPPORT
        and normal @ prior > np.cos(np.radians(tolerance))
        and (centers @ normal - height > 2 * thickness).all()
    )
    if not trusted:
        return Up(prior, None)
    return Up(normal, height if (over < -3 * thickness).mean() <= BELOW else None)
