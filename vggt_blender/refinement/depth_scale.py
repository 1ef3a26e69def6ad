"""Depth maps brought to the scale of the refined structure, each frame by one robust factor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..exchange.reconstruction import Frame
from .adjustment import Adjusted
from .views import Views

Array = NDArray[np.float64]

FEWEST_POINTS = 20
LARGEST_FACTOR = 3.0
"""A factor beyond this, or below its inverse, is a mistake rather than a correction."""


def depth_factors(adjusted: Adjusted, views: Views, frames: tuple[Frame, ...], depth: NDArray[np.float32]) -> Array:
    """(N,) by what to multiply each depth map: the median ratio of the structure's depth to the map's.

    `views` are the refined cameras in the input's world. Frames with fewer than 20 points share the others' median.
    """
    factors = np.full(len(frames), np.nan)
    for k, frame in enumerate(frames):
        seen = adjusted.used.frame == k
        if frame.depth_to_image is None or seen.sum() < FEWEST_POINTS:
            continue
        points = adjusted.structure.points[adjusted.used.track[seen]]
        z = points @ views.poses[k, 2] / np.maximum(points[:, 3], 1e-12)
        mapped = _at(depth[k], frame.depth_to_image, adjusted.used.xy[seen] / views.scales[k])
        ratio = z / mapped
        ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
        if len(ratio) >= FEWEST_POINTS:
            factors[k] = np.median(ratio)
    known = np.isfinite(factors) & (factors < LARGEST_FACTOR) & (factors > 1 / LARGEST_FACTOR)
    return np.where(known, factors, np.median(factors[known]) if known.any() else 1.0)


def _at(depth: NDArray[np.float32], depth_to_image: Array, xy: Array) -> Array:
    """Depth at source pixels (O, 2), the nearest sample; NaN outside."""
    place = np.linalg.solve(depth_to_image[:, :2], (xy - depth_to_image[:, 2]).T).T
    column, row = np.floor(place).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < depth.shape[1]) & (row < depth.shape[0])
    values = np.full(len(xy), np.nan)
    values[inside] = depth[row[inside], column[inside]]
    return values
