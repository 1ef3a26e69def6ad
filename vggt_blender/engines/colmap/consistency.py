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
"""A frame that sees farther than a point, by more than this share of its distance, sees through it."""

SPECKLE = 0.0006
"""Patches smaller than this share of the picture are noise."""

_PATCH_STEP = 0.03
"""Neighbouring pixels whose depths differ by a smaller share belong to one patch."""

Witness = tuple[View, Float32]
"""Another frame with its depth map (h, w), NaN where it knows nothing."""


def fuse(view: View, depth: Float32, correlation: Float32, witnesses: Sequence[Witness]) -> tuple[Float32, Float32]:
    """A frame's Z depth (h, w) and its confidence where `confirm` keeps them, without patches of noise."""
    fused, confidence = confirm(view, depth, correlation, witnesses)
    noise = ~large_patches(fused)
    fused[noise], confidence[noise] = np.nan, 0
    return fused, confidence


def confirm(view: View, depth: Float32, correlation: Float32, witnesses: Sequence[Witness]) -> tuple[Float32, Float32]:
    """A frame's Z depth (h, w) averaged with that of the witnesses that agree, NaN where they do not; its confidence.

    Kept is what at least one confirms, and no fewer confirm than see through. `correlation` (h, w) is 0..1. Confidence
    is the correlation times one more than the number of frames that agree, 0 where the depth is unknown.
    """
    total, agreeing, against = np.ones_like(depth), np.zeros_like(depth), np.zeros_like(depth)
    for other, other_depth in witnesses:
        ratio, beyond = _heard(view, depth, other, other_depth)
        agrees = np.isfinite(ratio)
        total += np.where(agrees, ratio, 0)
        agreeing += agrees
        against += beyond
    known = (agreeing >= 1) & (agreeing >= against)
    fused = np.where(known, depth * total / (1 + agreeing), np.nan).astype(np.float32)
    confidence = np.where(np.isfinite(fused), correlation * (1 + agreeing), 0)
    return fused, confidence.astype(np.float32)


def _heard(view: View, depth: Float32, other: View, other_depth: Float32) -> tuple[Float32, NDArray[np.bool_]]:
    """The other's depth over the one expected from `depth`, (h, w), where the two agree, else NaN; and where the other
    sees through what `depth` says."""
    pose = relative_pose(view.camera_from_world, other.camera_from_world).astype(np.float32)
    points = np.tensordot(pose[:, :3], view.rays * depth, axes=1) + pose[:, 3, None, None]
    with np.errstate(all="ignore"):
        ideal = np.moveaxis(np.where(points[2] > 0, points[:2] / points[2], np.nan), 0, -1)
        pixels = other.pixels_of(ideal) - 0.5
    x, y = np.moveaxis(pixels.astype(np.float32), -1, 0)
    agreed, beyond = np.full(depth.shape, np.nan, np.float32), np.ones(depth.shape, bool)
    for how in (cv2.INTER_NEAREST, cv2.INTER_LINEAR):  # the second is exact on surfaces, the first alone knows edges
        sampled = cv2.remap(other_depth, x, y, how, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))
        with np.errstate(all="ignore"):
            ratio = sampled / points[2]
            agreed = np.where(np.abs(ratio - 1) < TOLERANCE, ratio, agreed)
            beyond &= ratio > 1 + BEYOND
    return agreed, beyond


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
