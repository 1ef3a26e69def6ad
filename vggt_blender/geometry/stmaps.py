"""Lens distortion as maps from picture to picture: how to straighten a plate, and how to bend what was made for it.

The straight picture keeps the plate's focal length in pixels and its middle; it is larger by an even border, the
overscan, so that nothing of the plate is lost. Pixels put the centre of the top-left one at (0.5, 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cameras import Lens, distort, rays_of_pixels

Array = NDArray[np.float64]

LARGEST_BORDER = 0.5  # of the width or height: beyond it the corners of a fisheye are given up
EDGE_STEPS = 64


@dataclass(frozen=True)
class StraightPicture:
    """A plate of ``width`` x ``height`` pixels with ``border_x`` columns more on the left and right and ``border_y``
    rows more above and below, seen by the ideal part of ``lens`` (the plate's own)."""

    lens: Lens
    width: int
    height: int
    border_x: int
    border_y: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height with the border."""
        return self.width + 2 * self.border_x, self.height + 2 * self.border_y

    @property
    def straight_lens(self) -> Lens:
        """The lens of the straight picture, without distortion."""
        return Lens(self.lens.fx, self.lens.fy, self.lens.cx + self.border_x, self.lens.cy + self.border_y)

    def undistort_map(self) -> Array:
        """Where in the plate each pixel of the straight picture comes from: (H', W', 2) pixels."""
        columns, rows = np.meshgrid(np.arange(self.size[0]) + 0.5, np.arange(self.size[1]) + 0.5)
        rays = rays_of_pixels(np.stack([columns, rows], axis=-1), self.straight_lens)
        if self.lens.distortion is not None:
            rays = distort(rays, self.lens.distortion)
        return rays * [self.lens.fx, self.lens.fy] + [self.lens.cx, self.lens.cy]

    def redistort_map(self) -> Array:
        """Where in the straight picture each pixel of the plate comes from: (H, W, 2) pixels, NaN where the lens model
        folds over."""
        columns, rows = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        rays = rays_of_pixels(np.stack([columns, rows], axis=-1), self.lens)
        straight = self.straight_lens
        return rays * [straight.fx, straight.fy] + [straight.cx, straight.cy]


def straight_picture(lens: Lens, width: int, height: int, *, overscan: bool = True) -> StraightPicture:
    """The straight picture that holds the whole plate; without `overscan` one of the plate's own size."""
    if not overscan or lens.distortion is None:
        return StraightPicture(lens, width, height, 0, 0)
    along = np.linspace(0.0, 1.0, EDGE_STEPS)
    edge = np.concatenate(
        [np.stack([along * width, np.full_like(along, y)], axis=-1) for y in (0, height)]
        + [np.stack([np.full_like(along, x), along * height], axis=-1) for x in (0, width)]
    )
    rays = rays_of_pixels(edge, lens)
    straight = rays[np.isfinite(rays).all(axis=1)] * [lens.fx, lens.fy] + [lens.cx, lens.cy]
    beyond = np.maximum(-straight, straight - [width, height]).max(axis=0, initial=0.0)
    return StraightPicture(
        lens,
        width,
        height,
        math.ceil(min(max(beyond[0], 0.0), LARGEST_BORDER * width)),
        math.ceil(min(max(beyond[1], 0.0), LARGEST_BORDER * height)),
    )


def st_coordinates(pixels: Array, size: tuple[int, int]) -> NDArray[np.float32]:
    """Pixels (..., 2) of a picture of `size` (width, height) as an ST-map has them: 0..1 from the lower left."""
    return np.stack([pixels[..., 0] / size[0], 1.0 - pixels[..., 1] / size[1]], axis=-1).astype(np.float32)
