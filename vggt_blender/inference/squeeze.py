"""Pixels that are not square: between a picture as it is stored and as it is meant to be seen.

Everything that solves works on square pixels, where one focal length holds for both axes and a detail turns without
changing its shape; what is written down counts the source's own pixels, with fx != fy. ``aspect`` is a stored pixel's
width over its height (2 for a 2:1 anamorphic plate, whose stored picture is thin): fy = aspect * fx, as Blender's
``pixel_aspect_x / pixel_aspect_y`` has it. The side that is too short is stretched, so that nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..exchange.reconstruction import Frame

NEARLY_SQUARE, MOST = 0.005, 5.0
"""Aspects that a file states within this of 1 are what a scaler rounded, and those beyond `MOST` mistakes: square."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Squeeze:
    """A stored picture of ``width`` x ``height`` pixels of one ``aspect``, and the square pixels that it is seen in.

    A stored position p is seen at ``scale * p + offset`` (each (x, y)): middle on middle, though the size is whole.
    """

    width: int
    height: int
    aspect: float

    @property
    def scale(self) -> Array:
        """(2,) at least 1."""
        return np.array([max(self.aspect, 1.0), max(1 / self.aspect, 1.0)])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in square pixels."""
        width, height = np.rint(self.scale * [self.width, self.height]).astype(int)
        return int(width), int(height)

    @property
    def offset(self) -> Array:
        """(2,) less than half a pixel."""
        return (np.array(self.size) - self.scale * [self.width, self.height]) / 2

    def seen(self, picture: NDArray[Any], *, smooth: bool = True) -> NDArray[Any]:
        """A stored picture (H, W, ...) in square pixels; the nearest pixel unless `smooth`."""
        # OpenCV's coordinates are whole at pixel centres, ours at corners
        affine = np.column_stack([np.diag(self.scale), self.scale / 2 + self.offset - 0.5])
        how = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
        return np.asarray(cv2.warpAffine(picture, affine, self.size, flags=how, borderMode=cv2.BORDER_REPLICATE))

    def seen_xy(self, xy: Array) -> Array:
        """Square pixels (..., 2) of stored ones."""
        return xy * self.scale + self.offset

    def stored_xy(self, xy: Array) -> Array:
        """Stored pixels (..., 2) of square ones."""
        return (xy - self.offset) / self.scale

    def stored(self, frame: Frame) -> Frame:
        """A frame that was solved in square pixels, in those of its file."""
        return self._converted(frame, (self.width, self.height), 1 / self.scale, -self.offset / self.scale)

    def square(self, frame: Frame) -> Frame:
        """A frame in its file's pixels, in square ones: undoes `stored`."""
        return self._converted(frame, self.size, self.scale, self.offset)

    def _converted(self, frame: Frame, size: tuple[int, int], scale: Array, offset: Array) -> Frame:
        pose, affine = frame.pose, frame.depth_to_image
        if pose is not None:
            (fx, fy), (cx, cy) = scale * [pose.fx, pose.fy], scale * [pose.cx, pose.cy] + offset
            pose = replace(pose, fx=float(fx), fy=float(fy), cx=float(cx), cy=float(cy))
        if affine is not None:
            linear, at = affine[:, :2], affine[:, 2]
            affine = np.column_stack([scale[:, None] * linear, scale * at + offset])
        return replace(frame, width=size[0], height=size[1], pose=pose, depth_to_image=affine)


def is_square(aspect: float) -> bool:
    """Whether the pixels of a file that states `aspect` are taken to be square."""
    return abs(aspect - 1) < NEARLY_SQUARE or not 1 / MOST <= aspect <= MOST
