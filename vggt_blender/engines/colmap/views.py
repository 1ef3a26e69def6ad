"""A placed frame as the depth search sees it: picture, rays, pose, and a pinhole version for others to look up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry.cameras import Lens, distort, rays_of_pixels

Float32 = NDArray[np.float32]
Array = NDArray[np.float64]

OUTSIDE = np.float32(-1e4)
"""Marks pixels of a `PinholePicture` that show nothing; pictures themselves stay within a few hundred."""

LARGEST_CANVAS = 1.6
"""An undistorted picture is kept up to this many times the distorted one's size; what lies beyond is cut off."""


@dataclass(frozen=True)
class PinholePicture:
    """Brightness (h, w) float32 about zero, without distortion, `OUTSIDE` where unknown, and its
    intrinsics (3, 3)."""

    brightness: Float32
    intrinsics: Array


@dataclass(frozen=True)
class View:
    """``color`` (h, w, 3) uint8 at the depth map's size, ``usable`` (h, w) or None, ``lens`` in its pixels,
    ``camera_from_world`` (3, 4); ``near`` and ``far`` bound the Z depth."""

    color: NDArray[np.uint8]
    usable: NDArray[np.bool_] | None
    lens: Lens
    camera_from_world: Array
    near: float
    far: float

    @cached_property
    def gray(self) -> NDArray[np.uint8]:
        """The picture (h, w) without its colours."""
        return np.asarray(cv2.cvtColor(self.color, cv2.COLOR_RGB2GRAY))

    @cached_property
    def brightness(self) -> Float32:
        """The picture (h, w) about zero: small numbers keep variances exact."""
        return self.gray.astype(np.float32) - np.float32(128)

    @cached_property
    def rays(self) -> Float32:
        """Ideal rays (3, h, w) at z = 1 of the pixels' centres; NaN where the lens has none."""
        height, width = self.gray.shape
        rows, columns = np.mgrid[:height, :width] + 0.5
        rays = rays_of_pixels(np.stack([columns, rows], axis=-1), self.lens)
        return np.stack([rays[..., 0], rays[..., 1], np.ones((height, width))]).astype(np.float32)

    @cached_property
    def pinhole(self) -> PinholePicture:
        """The whole picture, undistorted, at full size."""
        values = self.brightness.copy()
        if self.usable is not None:
            values[~self.usable] = OUTSIDE
        if self.lens.distortion is None:
            return PinholePicture(values, self.lens.matrix())
        intrinsics, width, height = self._canvas()
        rows, columns = np.mgrid[:height, :width] + 0.5
        pixels = np.stack([columns, rows], axis=-1)
        ideal = (pixels - intrinsics[:2, 2]) / [self.lens.fx, self.lens.fy]
        seen = distort(ideal, self.lens.distortion) * [self.lens.fx, self.lens.fy] + [self.lens.cx, self.lens.cy] - 0.5
        x, y = np.moveaxis(seen.astype(np.float32), -1, 0)
        warped = cv2.remap(values, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=float(OUTSIDE))
        warped[np.abs(warped) > 1e3] = OUTSIDE
        return PinholePicture(np.asarray(warped, np.float32), intrinsics)

    def pixels_of(self, ideal: Array) -> Array:
        """Pixels (..., 2) of ideal camera rays (..., 2)."""
        if self.lens.distortion is not None:
            ideal = distort(ideal, self.lens.distortion)
        return np.asarray(ideal * [self.lens.fx, self.lens.fy] + [self.lens.cx, self.lens.cy])

    def _canvas(self) -> tuple[Array, int, int]:
        """Intrinsics and size of the pinhole picture that holds every ray of this one."""
        height, width = self.gray.shape
        border = np.concatenate([self.rays[:2, row] for row in (0, -1)] + [self.rays[:2, :, col] for col in (0, -1)], 1)
        border = border * [[self.lens.fx], [self.lens.fy]] + [[self.lens.cx], [self.lens.cy]]
        beyond = (LARGEST_CANVAS - 1) / 2
        low = np.clip(np.floor(np.nanmin(border, axis=1)), [-beyond * width, -beyond * height], [width / 4, height / 4])
        high = np.clip(
            np.ceil(np.nanmax(border, axis=1)),
            [0.75 * width, 0.75 * height],
            [width * (1 + beyond), height * (1 + beyond)],
        )
        intrinsics = self.lens.matrix()
        intrinsics[:2, 2] -= low
        size = np.ceil(high - low).astype(int)
        return intrinsics, int(size[0]), int(size[1])


def relative_pose(reference: Array, other: Array) -> Array:
    """other_from_reference (3, 4) of two poses camera_from_world (3, 4)."""
    rotation = other[:, :3] @ reference[:, :3].T
    return np.column_stack([rotation, other[:, 3] - rotation @ reference[:, 3]])
