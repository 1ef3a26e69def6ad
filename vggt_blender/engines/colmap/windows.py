"""Windows whose pixels count by how much their colour is like the centre's, and how well neighbours agree with them.

Square windows that straddle an edge of depth see two surfaces and follow the one with more contrast; these see the one
that their centre lies on (adaptive support weights: Yoon and Kweon, "Adaptive support-weight approach for
correspondence search", 2006). They are for chosen pixels, not for whole pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .sweep import ALONE, DARKEST, FLAT, NOT_SEEN, UNSEEN, Neighbour
from .views import OUTSIDE, Float32, View

RADIUS = 3
"""Of the windows, in which every second pixel counts, as on the black fields of a chessboard."""

COLOR = 12.0
"""Difference of colour (levels, all channels together) at which a pixel's weight falls to 1/e."""

_SIDE = range(-RADIUS, RADIUS + 1)
_TAPS = np.array([(y, x) for y in _SIDE for x in _SIDE if (y + x) % 2 == 0])

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """N windows of T pixels: flat indices ``at`` (N, T) into padded pictures, their ``weights`` (N, T) which sum to
    one, and the weighted brightness ``contrast`` (N, T) of zero sum with its ``variance`` (N,)."""

    at: Indices
    weights: Float32
    contrast: Float32
    variance: Float32

    def __getitem__(self, rows: Indices) -> Windows:
        return Windows(self.at[rows], self.weights[rows], self.contrast[rows], self.variance[rows])


class AdaptiveCorrelation:
    """ZNCC of one frame with its neighbours over adaptive windows."""

    def __init__(self, view: View, neighbours: Sequence[Neighbour]) -> None:
        self._brightness = padded(view.brightness)
        self._color = padded(np.moveaxis(view.color, -1, 0).astype(np.float32)).reshape(3, -1)
        self._neighbours = [(padded(n.turned).reshape(3, -1), n.shift, n.brightness) for n in neighbours]

    def windows(self, rows: Indices, columns: Indices) -> Windows:
        """The windows about pixels (N,)."""
        width = self._brightness.shape[1]
        center = (rows + RADIUS) * width + columns + RADIUS
        at = center[:, None] + (_TAPS[:, 0] * width + _TAPS[:, 1])
        difference = np.zeros(at.shape, np.float32)
        for channel in self._color:
            difference += np.abs(channel[at] - channel[center][:, None])
        weights = np.exp(-difference / np.float32(COLOR))
        weights /= weights.sum(axis=1, keepdims=True)
        values = self._brightness.ravel()[at]
        values -= np.einsum("nt,nt->n", weights, values)[:, None]
        contrast = weights * values
        return Windows(at, weights, contrast, np.einsum("nt,nt->n", contrast, values))

    def cost(self, windows: Windows, inverse_depth: Float32) -> Float32:
        """Mean 1 - ZNCC (N,) of the two neighbours that agree best at `inverse_depth` (N,), as `sweep.best_two`."""
        first = np.full(len(inverse_depth), NOT_SEEN, np.float32)
        second = first.copy()
        for rays, shift, brightness in self._neighbours:
            cost = self._one_cost(
                windows,
                [ray[windows.at] + inverse_depth[:, None] * s for ray, s in zip(rays, shift, strict=True)],
                brightness,
            )
            np.minimum(second, np.maximum(first, cost), out=second)
            np.minimum(first, cost, out=first)
        alone = second >= NOT_SEEN
        second[alone] = first[alone] + ALONE
        mean = (first + second) / 2
        mean[first >= NOT_SEEN] = UNSEEN
        return np.asarray(mean)

    @staticmethod
    def _one_cost(windows: Windows, position: Sequence[Float32], brightness: Float32) -> Float32:
        x, y, z = position
        scale = 1 / np.maximum(z, 1e-6)
        x *= scale
        y *= scale
        x -= 0.5
        y -= 0.5
        seen = cv2.remap(brightness, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=float(OUTSIDE))
        covariance = np.einsum("nt,nt->n", windows.contrast, seen)
        mean = np.einsum("nt,nt->n", windows.weights, seen)
        variance = np.einsum("nt,nt,nt->n", windows.weights, seen, seen) - mean * mean
        cost = 1 - covariance / np.sqrt((windows.variance + FLAT) * (np.maximum(variance, 0) + FLAT))
        cost[seen.min(axis=1) < DARKEST] = NOT_SEEN
        return np.asarray(cost)


def padded(values: Float32) -> Float32:
    """A picture (..., h, w) with its border repeated for windows that reach over it."""
    return np.pad(values, [(0, 0)] * (values.ndim - 2) + [(RADIUS, RADIUS)] * 2, mode="edge")
