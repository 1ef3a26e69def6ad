"""A part of a source, as a source: what a few frames need is read, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..exchange.messages import JobError
from ..exchange.reconstruction import Frame, Source
from ..inference.frames import FrameSource, SourceFrame


class ChosenFrames:
    """The frames of `source` at `positions`, in that order."""

    def __init__(self, source: FrameSource, positions: Sequence[int]) -> None:
        self._source = source
        self._positions = tuple(positions)

    @property
    def source(self) -> Source:
        return self._source.source

    @property
    def frames(self) -> tuple[SourceFrame, ...]:
        return tuple(self._source.frames[position] for position in self._positions)

    def read(self, position: int) -> NDArray[np.uint8]:
        return self._source.read(self._positions[position])

    def mask(self, position: int) -> NDArray[np.bool_] | None:
        return self._source.mask(self._positions[position])

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self.read(position) for position in range(len(self._positions)))


def frames_of(source: FrameSource, frames: Sequence[Frame]) -> ChosenFrames:
    """The pictures that the `frames` of a reconstruction were made from. Raises `JobError` where one is not there."""
    position_of = {entry.name: position for position, entry in enumerate(source.frames)}
    positions = []
    for frame in frames:
        position = position_of.get(frame.name)
        found = None if position is None else source.frames[position]
        if position is None or found is None or (found.width, found.height) != (frame.width, frame.height):
            raise JobError("mismatch", f"'{frame.name}' is not among the pictures any more, or has another size.")
        positions.append(position)
    return ChosenFrames(source, positions)
