"""Frames that took no part, placed by what the others have found: pose from points, robustly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pycolmap

from .adjustment import LEAST_ANGLE, Adjusted
from .correspondences import colmap_camera
from .tracks import Observations
from .triangulation import triangulate
from .views import Views

LEAST_INLIERS = 20
MAX_ERROR = 4.0
"""Working pixels between a point and its observation that RANSAC allows."""


def place_others(table: Observations, adjusted: Adjusted) -> Views:
    """The adjusted views, with every frame that was not held placed anew where enough known points are seen in it."""
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
        if len(mine) < LEAST_INLIERS:
            continue
        options = pycolmap.AbsolutePoseEstimationOptions()
        options.ransac.max_error = MAX_ERROR
        options.ransac.random_seed = 0
        found = pycolmap.estimate_and_refine_absolute_pose(
            table.xy[mine], xyz[table.track[mine]], colmap_camera(views, int(k)), options
        )
        if found is not None and found["num_inliers"] >= LEAST_INLIERS:
            poses[k], placed[k] = found["cam_from_world"].matrix(), True
    return replace(views, poses=poses, placed=placed)
