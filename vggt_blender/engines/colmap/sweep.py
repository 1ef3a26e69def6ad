"""Plane sweep: how well the neighbours agree with each pixel at each depth, and the surface that explains it best.

Scores are zero-mean normalised cross-correlations (ZNCC) over small windows; the surface is found by semi-global
matching (Hirschmüller, "Stereo processing by semiglobal matching and mutual information", 2008) over planes that are
evenly spaced in inverse depth. Pixels keep their own rays, so a distorted picture needs no resampling; only the
neighbours' pictures are pinhole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .views import OUTSIDE, Float32, PinholePicture

UNSEEN = np.float32(1.0)
"""Cost of a pixel that a neighbour does not see: that of no correlation at all."""

NOT_SEEN = np.float32(9)
ALONE = 0.1
DARKEST = -1e3
FLAT = 2.0
"""Variance (squared grey levels) added to a window's own, so that noise alone does not correlate."""


@dataclass(frozen=True)
class Neighbour:
    """Another picture, pinhole: its ``brightness`` (H, W), and where reference rays go.

    A reference pixel with ray r (3,) and inverse depth c appears at the homogeneous position
    ``turned[:, row, col] + c * shift``, with ``turned`` (3, h, w) and ``shift`` (3,).
    """

    brightness: Float32
    turned: Float32
    shift: Float32

    @classmethod
    def of(cls, picture: PinholePicture, other_from_reference: NDArray[np.float64], rays: Float32) -> Neighbour:
        """`picture` as it is reached from the reference's `rays` (3, h, w) at z = 1 by the relative pose (3, 4)."""
        matrix = picture.intrinsics @ other_from_reference
        turned = np.tensordot(matrix[:, :3].astype(np.float32), rays, axes=1)
        return cls(picture.brightness, turned, matrix[:, 3].astype(np.float32))

    def position(self, inverse_depth: Float32 | float) -> tuple[Float32, Float32]:
        """Array coordinates (x, y), each (h, w), of the reference's pixels: pixel centres are integers here."""
        z = self.turned[2] + inverse_depth * self.shift[2]
        np.maximum(z, 1e-6, out=z)
        x = (self.turned[0] + inverse_depth * self.shift[0]) / z - np.float32(0.5)
        y = (self.turned[1] + inverse_depth * self.shift[1]) / z - np.float32(0.5)
        return x, y


class Correlation:
    """ZNCC of one reference picture with warped others over square windows of `radius`."""

    def __init__(self, brightness: Float32, radius: int) -> None:
        self._size = (2 * radius + 1, 2 * radius + 1)
        self._values = brightness
        self._mean = cv2.blur(self._values, self._size)
        variance = cv2.blur(self._values * self._values, self._size) - self._mean * self._mean
        self._inverse_deviation = 1.0 / np.sqrt(np.maximum(variance, 0) + FLAT)

    def cost(self, neighbour: Neighbour, inverse_depth: Float32 | float) -> Float32:
        """1 - ZNCC (h, w) in 0..2 with the neighbour at `inverse_depth`; `UNSEEN` outside its picture."""
        x, y = neighbour.position(inverse_depth)
        warped = cv2.remap(
            neighbour.brightness, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=float(OUTSIDE)
        )
        outside = warped < DARKEST
        warped[outside] = 0.0
        mean = cv2.blur(warped, self._size)
        product = cv2.blur(warped * self._values, self._size)
        square = cv2.blur(warped * warped, self._size)
        product -= mean * self._mean
        square -= mean * mean
        np.maximum(square, 0, out=square)
        square += FLAT
        np.sqrt(square, out=square)
        product *= self._inverse_deviation
        product /= square
        cost = 1 - product
        cost[outside] = NOT_SEEN
        return cost


def best_two(correlation: Correlation, neighbours: Sequence[Neighbour], inverse_depth: Float32 | float) -> Float32:
    """Mean cost (h, w) of the two neighbours that agree best: those that an edge hides from do not vote.

    Where one neighbour alone sees the pixel it decides, at a small charge; where none does the cost is `UNSEEN`.
    """
    first = correlation.cost(neighbours[0], inverse_depth)
    second = np.full_like(first, NOT_SEEN)
    for neighbour in neighbours[1:]:
        cost = correlation.cost(neighbour, inverse_depth)
        np.minimum(second, np.maximum(first, cost), out=second)
        np.minimum(first, cost, out=first)
    alone = second >= NOT_SEEN
    second[alone] = first[alone] + ALONE
    first += second
    first *= 0.5
    first[first >= NOT_SEEN] = UNSEEN
    return first
