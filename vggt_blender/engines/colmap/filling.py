"""Holes of a depth map filled with what the neighbours' maps have there, where the pictures agree with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .consistency import Witness, confirm, large_patches
from .edges import around, choose, distinct
from .sweep import Neighbour
from .views import Float32, View, relative_pose
from .windows import AdaptiveCorrelation

LEAST_CORRELATION = 0.5
"""With which a pixel takes over what others have there."""


def fill(
    view: View,
    neighbours: Sequence[Neighbour],
    holes: NDArray[np.bool_],
    depth: Float32,
    confidence: Float32,
    witnesses: Sequence[Witness],
) -> tuple[Float32, Float32]:
    """A frame's fused `depth` and its `confidence` (h, w), with its `holes` filled where there is evidence.

    A hole may have the depth of a witness's point that falls into it, or that of pixels around it: the one with which
    the pictures agree best, if they agree well, and if the witnesses confirm it as they do any other depth.
    """
    seen = [_seen_from(view, holes, *witness) for witness in witnesses]
    inverse = 1 / depth
    offered = np.stack([*seen, *around(inverse)[1]])
    rows, columns = np.nonzero(holes & np.isfinite(offered).any(axis=0))
    if not len(rows):
        return depth, confidence
    candidates = distinct(offered[:, rows, columns], np.full(len(rows), np.nan, np.float32))
    chosen, cost = choose(AdaptiveCorrelation(view, neighbours), rows, columns, inverse, candidates, 0.0)
    guess, correlation = np.full_like(depth, np.nan), np.zeros_like(depth)
    guess[rows, columns] = np.where(cost < 1 - LEAST_CORRELATION, 1 / chosen, np.nan)
    correlation[rows, columns] = np.clip(1 - cost, 0, 1)
    found, trust = confirm(view, guess, correlation, witnesses)
    filled = np.where(np.isfinite(found), found, depth)
    filled[~large_patches(filled)] = np.nan
    return filled, np.where(np.isfinite(filled), np.maximum(confidence, trust), 0)


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
