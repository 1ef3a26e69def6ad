"""Frames that took no part, placed by what the others have found: pose from points, robustly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap
from numpy.typing import NDArray

from .adjustment import LEAST_ANGLE, Adjusted
from .correspondences import colmap_camera
from .tracks import Observations
from .triangulation import triangulate
from .trusted import NOBODYS, Trusted
from .views import Views

LEAST_INLIERS = 20
MAX_ERROR = 4.0
"""Working pixels between a point and its observation that RANSAC allows."""

LEAST_BY_HAND, MAX_ERROR_BY_HAND = 4, 16.0
"""The same two for tracks by hand."""

Array = NDArray[np.float64]


def place_others(table: Observations, adjusted: Adjusted, trusted: Trusted = NOBODYS) -> Views:
    """The adjusted views, with every frame that was not held placed anew where enough known points are seen in it.

    Where features are too few, four tracks by hand do.
    """
    views, held = adjusted.views, adjusted.held
    known = held[table.frame]
    seen = table.keep(known)
    tracks = np.flatnonzero(np.bincount(table.track[known], minlength=table.tracks) >= 2)
    structure = triangulate(seen, views, scale=0.5)
    worst = np.zeros(seen.tracks)
    np.maximum.at(worst, seen.track, structure.error)
    xyz = np.full((table.tracks, 3), np.nan)
    good = (worst < MAX_ERROR) & (structure.angle > LEAST_ANGLE)
    xyz[tracks[good]] = structure.positions()[good]
    poses, placed = views.poses.copy(), views.placed.copy()
    for k in np.flatnonzero(~held):
        mine = np.flatnonzero((table.frame == k) & np.isfinite(xyz[table.track, 0]))
        pose = None
        if len(mine) >= LEAST_INLIERS:
            pose = _pose(table.xy[mine], xyz[table.track[mine]], views, int(k), MAX_ERROR, LEAST_INLIERS)
        if pose is None:
            pose = _pose_by_hand(trusted, views, held, int(k))
        if pose is not None:
            poses[k], placed[k] = pose, True
    return replace(views, poses=poses, placed=placed)


def _pose_by_hand(trusted: Trusted, views: Views, held: NDArray[np.bool_], k: int) -> Array | None:
    """Frame `k`'s pose from the tracks by hand that the frames `held` (N,) place, or that were measured."""
    known, places = trusted.seen_by(views, held)
    where = dict(zip(known.names, places.positions(), strict=True))
    mine = np.flatnonzero(trusted.table.frame == k)
    mine = mine[[trusted.names[track] in where for track in trusted.table.track[mine]]]
    if len(mine) < LEAST_BY_HAND:
        return None
    xyz = np.array([where[trusted.names[track]] for track in trusted.table.track[mine]])
    return _pose(trusted.table.xy[mine], xyz, views, k, MAX_ERROR_BY_HAND, LEAST_BY_HAND)


def _pose(xy: Array, xyz: Array, views: Views, k: int, max_error: float, least: int) -> Array | None:
    """The pose (3, 4) that sees points `xyz` (M, 3) at working pixels `xy` (M, 2), `least` of them at least."""
    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.max_error = max_error
    options.ransac.random_seed = 0
    found = pycolmap.estimate_and_refine_absolute_pose(xy, xyz, colmap_camera(views, k), options)
    if found is None or found["num_inliers"] < least:
        return None
    return np.asarray(found["cam_from_world"].matrix())
