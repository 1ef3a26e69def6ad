"""A source whose pixels are not square, opened so that engines see square ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..exchange.messages import Reporter
from ..exchange.reconstruction import Source
from .frames import FrameSource, SourceFrame
from .squeeze import Squeeze, is_square


class SquarePixels:
    """Another source's frames, stretched. A `FrameSource`; what its frames `solved` is in the file's own pixels."""

    def __init__(self, stored: FrameSource, aspect: float) -> None:
        self._stored = stored
        self._squeezes = [Squeeze(frame.width, frame.height, aspect) for frame in stored.frames]
        self.frames = tuple(map(_squeezed, stored.frames, self._squeezes))

    @property
    def source(self) -> Source:
        return self._stored.source

    def read(self, position: int) -> NDArray[np.uint8]:
        return self._squeezes[position].seen(self._stored.read(position))

    def mask(self, position: int) -> NDArray[np.bool_] | None:
        mask = self._stored.mask(position)
        if mask is None:
            return None
        return self._squeezes[position].seen(mask.astype(np.uint8), smooth=False) > 0

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (squeeze.seen(picture) for squeeze, picture in zip(self._squeezes, self._stored, strict=True))


def with_square_pixels(
    source: FrameSource, aspect: float | None, report: Reporter | None = None
) -> tuple[FrameSource, float | None]:
    """`source` in square pixels, and the aspect of its stored ones (None: square): `aspect`, else what the file states.

    A file that has its way is told to `report`.
    """
    first = source.frames[0]
    if first.squeeze is not None:  # square by now
        return source, first.squeeze.aspect
    stated = first.pixel_aspect
    if aspect is None and not is_square(stated):
        aspect = stated
        if report is not None:
            report.status(
                f"The file says that its pixels are {aspect:.4g} times as wide as high: solved so. "
                "A pixel aspect of 1 overrules it."
            )
    if aspect is None or aspect == 1:
        return source, aspect
    return SquarePixels(source, aspect), aspect


def _squeezed(frame: SourceFrame, squeeze: Squeeze) -> SourceFrame:
    width, height = squeeze.size
    focal = None if frame.focal_px is None else frame.focal_px * float(squeeze.scale[1])  # lenses squeeze sideways
    return replace(frame, width=width, height=height, focal_px=focal, squeeze=squeeze)
