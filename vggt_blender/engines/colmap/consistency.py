"""Keeping what the frames agree on: each depth map against those of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .views import Float32, View, relative_pose

TOLERANCE = 0.02
"""Depths that differ by less than this share are the same surface."""

BEYOND = 0.05

SPECKLE = 0.0006
"""Patches smaller than this share of the picture are noise."""

_PATCH_STEP = 0.03
"""Neighbouring pixels whose depths differ by a smaller share belong to one patch."""


def fuse(
    view: View, depth: Float32, correlation: Float32, others: Sequence[tuple[View, Float32]]
) -> tuple[Float32, Float32]:
    """A frame's Z depth (h, w) averaged with the neighbours' that agree, NaN where none does, and its confidence.

    `correlation` (h, w) is 0..1; `others` are neighbours with their own depth maps. Confidence is the correlation
    times one more than the number of neighbours that agree, 0 where the depth is unknown.
    """
    agreeing, against, mean = support(view, depth, others)
    known = (agreeing >= 1) & (agreeing >= against)
    if view.usable is not None:
        known &= view.usable
    fused = np.where(known, mean, np.nan).astype(np.float32)
    fused[~large_patches(fused)] = np.nan
    confidence = np.where(np.isfinite(fused), correlation * (1 + agreeing), 0)
    return fused, confidence.astype(np.float32)


def support(
    view: View, depth: Float32, others: Sequence[tuple[View, Float32]]
) -> tuple[Float32, Float32, Float32]:
    """How many others' maps agree with a frame's `depth` (h, w), how many see past it, and the mean of those that agree
    with it."""
    total, agreeing, against = np.ones_like(depth), np.zeros_like(depth), np.zeros_like(depth)
    for other, other_depth in others:
        ratio, beyond = _ratio(view, depth, other, other_depth)
        agrees = np.isfinite(ratio)
        total += np.where(agrees, ratio, 0)
        agreeing += agrees
        against += beyond
    return agreeing, against, depth * total / (1 + agreeing)


def _ratio(view: View, depth: Float32, other: View, other_depth: Float32) -> Float32:
    """The other's depth over the one expected from `depth`, (h, w); NaN where the other does not see the point."""
    pose = relative_pose(view.camera_from_world, other.camera_from_world).astype(np.float32)
    points = np.tensordot(pose[:, :3], view.rays * depth, axes=1) + pose[:, 3, None, None]
    with np.errstate(all="ignore"):
        ideal = np.moveaxis(np.where(points[2] > 0, points[:2] / points[2], np.nan), 0, -1)
        pixels = other.pixels_of(ideal) - 0.5
    x, y = np.moveaxis(pixels.astype(np.float32), -1, 0)
    ratio = np.full(depth.shape, np.nan, np.float32)
    beyond = np.ones(depth.shape, bool)
    for how in (cv2.INTER_NEAREST, cv2.INTER_LINEAR):
        sampled = cv2.remap(other_depth, x, y, how, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))
        with np.errstate(all="ignore"):
            found = sampled / points[2]
            ratio = np.where(np.abs(found - 1) < TOLERANCE, found, ratio)
            beyond &= found > 1 + BEYOND
    return ratio, beyond


def large_patches(depth: Float32) -> NDArray[np.bool_]:
    """Where `depth` (h, w) is known and belongs to a patch of connected, smoothly changing depth of some size."""
    known = np.isfinite(depth)
    with np.errstate(all="ignore"):
        logs = np.where(known, np.log(depth), 0)
    # OpenCV's speckle filter wants 16-bit disparities: one unit is a quarter of the step that separates patches.
    levels = np.where(known, np.clip(np.round((logs - logs.min()) * 4 / _PATCH_STEP), 0, 30000) + 1, -1).astype(
        np.int16
    )
    cv2.filterSpeckles(levels, -1, int(SPECKLE * depth.size), 4)
    return np.asarray(levels >= 0)
