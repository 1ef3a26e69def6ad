"""Points from rays: where the lines of sight of a track come closest to each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cameras import Lens, camera_center, project, rays_of_pixels

Array = NDArray[np.float64]

LEAST_PARALLAX = 1e-5  # smallest eigenvalue of the mean projector: about 0.3 degrees between the rays


def triangulate_tracks(
    xy: ArrayLike, visible: ArrayLike, poses: Sequence[Array | None], lenses: Sequence[Lens | None]
) -> tuple[Array, Array]:
    """World points (T, 3) of tracks and their mean reprojection error (T,) in pixels.

    `xy` (N, T, 2) source pixels, `visible` (N, T); `poses` camera_from_world (3, 4) and `lenses` of the N frames, None
    where a frame was not placed. The point nearest to all rays in least squares; NaN where fewer than two rays, or rays
    without parallax, leave it open, and where it would lie behind a camera.
    """
    pixels, seen = np.asarray(xy, np.float64), np.asarray(visible, bool)
    count = pixels.shape[1]
    normal, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    used = np.zeros(count, np.int64)
    placed = [(k, pose, lens) for k, (pose, lens) in enumerate(zip(poses, lenses, strict=True))
              if pose is not None and lens is not None]  # fmt: skip
    for k, pose, lens in placed:
        rays = np.concatenate([rays_of_pixels(pixels[k], lens), np.ones((count, 1))], axis=1) @ pose[:, :3]
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        good = seen[k] & np.isfinite(rays).all(axis=1)
        across = np.eye(3) - rays[good][:, :, None] * rays[good][:, None, :]
        normal[good] += across
        right[good] += across @ camera_center(pose)
        used[good] += 1
    open_ended = used < 2
    normal[open_ended] = np.eye(3)
    least = np.linalg.eigvalsh(normal)[:, 0] / np.maximum(used, 1)
    points = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
    points[open_ended | (least < LEAST_PARALLAX)] = np.nan
    error, views = np.zeros(count), np.zeros(count)
    for k, pose, lens in placed:
        shown, _ = project(points, pose, lens)
        distance = np.linalg.norm(shown - pixels[k], axis=1)
        error[seen[k]] += distance[seen[k]]
        views[seen[k]] += 1
    error /= np.maximum(views, 1)
    points[~np.isfinite(error)] = np.nan
    error[~np.isfinite(points).all(axis=1)] = np.nan
    return points, error
