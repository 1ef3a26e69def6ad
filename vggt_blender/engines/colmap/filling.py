"""Holes of a depth map filled with what the neighbours' maps have there, where the pictures agree with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .consistency import support
from .edges import around, choose, distinct
from .sweep import Neighbour
from .views import Float32, View, relative_pose
from .windows import AdaptiveCorrelation

MOST_COST = 0.5


def fill(
    view: View, neighbours: Sequence[Neighbour], holes: NDArray[np.bool_], depth: Float32, confidence: Float32, others: Sequence[tuple[View, Float32]]
) -> tuple[Float32, Float32]:
    """`depth` and `confidence` (h, w) with holes filled. `others` are neighbours with their maps."""
    with np.errstate(all="ignore"):
        inverse = 1 / depth
    layers = np.concatenate([np.stack([_seen_from(view, holes, *other) for other in others]), around(inverse)[1]])
    known = holes & np.isfinite(layers).any(axis=0)
    rows, columns = np.nonzero(known)
    if not len(rows):
        return depth, confidence
    candidates = distinct(layers[:, rows, columns], np.full(len(rows), np.nan, np.float32))
    correlation = AdaptiveCorrelation(view, neighbours)
    chosen, cost = choose(correlation, rows, columns, inverse, candidates, 0.0)
    guess = np.full_like(depth, np.nan)
    guess[rows, columns] = np.where(cost < MOST_COST, 1 / chosen, np.nan)
    agreeing, against, mean = support(view, guess, others)
    good = (agreeing >= 1) & (agreeing >= against)
    quality = np.zeros_like(depth)
    quality[rows, columns] = np.clip(1 - cost, 0, 1)
    return np.where(good, mean, depth), np.where(good, quality * (1 + agreeing), confidence)


def _seen_from(view: View, holes: NDArray[np.bool_], other: View, depth: Float32) -> Float32:
    """Inverse depth (h, w) of another map's nearest points that fall into `holes`, NaN elsewhere."""
    known = np.isfinite(depth)
    pose = relative_pose(other.camera_from_world, view.camera_from_world).astype(np.float32)
    points = pose[:, :3] @ (other.rays[:, known] * depth[known]) + pose[:, 3:]
    points = points[:, points[2] > 0]
    pixels = np.floor(view.pixels_of((points[:2] / points[2]).T))
    height, width = holes.shape
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    column, row = pixels[inside].astype(int).T
    inverse = 1 / points[2, inside]
    there = holes[row, column]
    found = np.zeros(holes.shape, np.float32)
    np.maximum.at(found, (row[there], column[there]), inverse[there])
    found[found == 0] = np.nan
    return found
