"""Where a picture shows nothing whose depth could be found: a clear sky, a black hole, a blank wall."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .views import Float32, View

TEXTURELESS = 0.8
"""Standard deviation (grey levels) of 3 x 3 pixels below which there is nothing to find: a clear sky, a black hole."""

SMALLEST_VOID = 0.002
"""Share of the picture from which such an area has no depth; smaller ones are filled from around them."""

UNRELATED = 0.2
"""Correlation below which the neighbours do not show the same thing: noise is texture, too, but each frame's own."""

GROWTH = 4
"""Pixels from such an area within which others of its colour belong to it."""

ALIKE = 10.0
"""Difference (levels, of the channel that differs most) up to which a colour is the same."""

_FEWEST_NEAR = 0.02
"""Share of the pixels within `GROWTH` that make an area near."""


def voids(view: View, correlation: Float32) -> NDArray[np.bool_]:
    """Where a frame (h, w) shows connected areas of some size in which nothing can be found: depth there is a guess.

    `correlation` (h, w) is that of the depth found. The rim of such an area, whose windows have the texture of what it
    borders on, is told by its colour.
    """
    mean = cv2.blur(view.brightness, (3, 3))
    flat = cv2.blur(view.brightness * view.brightness, (3, 3)) - mean * mean < TEXTURELESS**2
    flat |= cv2.blur(correlation, (3, 3)) < UNRELATED
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(flat.astype(np.uint8), connectivity=4)
    large = statistics[:, cv2.CC_STAT_AREA] >= SMALLEST_VOID * flat.size
    large[0] = False  # what can be found
    inside = np.asarray(large[labels])
    size = (2 * GROWTH + 1, 2 * GROWTH + 1)
    share = cv2.blur(inside.astype(np.float32), size)
    color = cv2.blur(view.color * inside[..., None].astype(np.float32), size)
    like = np.abs(color - view.color * share[..., None]).max(axis=2) < ALIKE * share
    return inside | ((share > _FEWEST_NEAR) & like)
