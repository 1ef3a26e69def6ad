"""Where each frame's depth map lies in the common arrays, and how its samples map to source pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry.cameras import Lens
from ...inference.frames import SourceFrame

DEPTH_SIDE = 480
"""Samples on the longer side of a depth map; smaller sources keep their size."""


@dataclass(frozen=True)
class Placement:
    """A depth map of `height` x `width` samples for a source of `source_width` x `source_height` pixels, whose first
    sample is at (`row`, `column`) of the common array."""

    height: int
    width: int
    row: int
    column: int
    source_width: int
    source_height: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Its part of the common array."""
        return slice(self.row, self.row + self.height), slice(self.column, self.column + self.width)

    @property
    def depth_to_image(self) -> NDArray[np.float64]:
        """The affine (2, 3) from coordinates of the common array to source pixels."""
        sx, sy = self.source_width / self.width, self.source_height / self.height
        return np.array([[sx, 0.0, -sx * self.column], [0.0, sy, -sy * self.row]])

    def lens(self, lens: Lens) -> Lens:
        """A lens in source pixels as one in samples of this depth map."""
        return lens.scaled(self.width / self.source_width, self.height / self.source_height)

    def reduced(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A source picture (H, W, ...) at the depth map's size, averaged over areas."""
        return np.asarray(cv2.resize(picture, (self.width, self.height), interpolation=cv2.INTER_AREA))


def placements(frames: Sequence[SourceFrame]) -> tuple[list[Placement], tuple[int, int]]:
    """One placement per frame, and the common array's (height, width); smaller frames are centred."""
    sizes = []
    for frame in frames:
        scale = min(1.0, DEPTH_SIDE / max(frame.width, frame.height))
        sizes.append((max(1, round(frame.height * scale)), max(1, round(frame.width * scale))))
    height, width = max(size[0] for size in sizes), max(size[1] for size in sizes)
    return [
        Placement(h, w, (height - h) // 2, (width - w) // 2, frame.width, frame.height)
        for (h, w), frame in zip(sizes, frames, strict=True)
    ], (height, width)
