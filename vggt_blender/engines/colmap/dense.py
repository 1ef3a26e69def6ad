"""Depth maps for all placed frames: found one by one, kept where frames agree, and filled from one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from ...exchange.messages import Reporter
from ...exchange.writer import ReconstructionWriter
from .consistency import Witness, fuse
from .depth import estimate, neighbours_of
from .filling import fill
from .layout import Placement
from .neighbours import choose_neighbours
from .solution import Solution
from .views import Float32, View

FEWEST_POINTS = 8
"""A frame that sees fewer points has no known depth range, so no depth map."""

_VIEWS_IN_MEMORY = 48

SCRATCH = 4
"""Bytes a sample of what lies on the disk meanwhile."""

_SEARCH, _FUSION, _FILLING = 8, 1, 1
"""How long the three passes take, one beside the other."""


def write_depth(
    writer: ReconstructionWriter,
    solution: Solution,
    places: Sequence[Placement],
    masks: Sequence[NDArray[np.bool_] | None],
    report: Reporter,
) -> None:
    """Fill the writer's ``depth`` and ``confidence``; ``color`` holds the frames already. `masks` are (h, w) each."""
    assert writer.depth is not None
    assert writer.confidence is not None
    assert writer.color is not None
    depth, confidence = writer.depth, writer.confidence
    frames = _Frames(solution, places, masks, writer.color)
    raw = writer.scratch_map("depth-raw.npy", depth.shape)
    for frame in raw:
        frame[:] = np.nan
    total = (_SEARCH + _FUSION + _FILLING) * len(frames.usable)
    done = 0

    def advance(share: int) -> None:
        nonlocal done
        done += share
        report.progress("depth", done, total)

    report.progress("depth", 0, total)
    for position in frames.usable:
        others = frames.neighbours(position)
        if others:
            found = estimate(frames.view(position), others)
            frames.put(raw, position, found[0])
            frames.put(confidence, position, found[1])
        advance(_SEARCH)
    for position in frames.usable:
        found = fuse(
            frames.view(position),
            frames.take(raw, position),
            frames.take(confidence, position),
            frames.witnesses(position, raw),
        )
        frames.put(depth, position, found[0])
        frames.put(confidence, position, found[1])
        advance(_FUSION)
    for position in frames.usable:
        view, kept = frames.view(position), frames.take(depth, position)
        holes = np.isfinite(frames.take(raw, position)) & ~np.isfinite(kept)
        neighbours = neighbours_of(view, frames.neighbours(position))
        known = frames.take(confidence, position)
        found = fill(view, neighbours, holes, kept, known, frames.witnesses(position, depth))
        # Into the other array: the frames to come are filled from what was confirmed, not from what was filled.
        frames.put(raw, position, found[0])
        frames.put(confidence, position, found[1])
        advance(_FILLING)
    for position in frames.usable:
        depth[position] = raw[position]


class _Frames:
    """The frames that get a depth map, their neighbours, and their places in the common arrays."""

    def __init__(
        self,
        solution: Solution,
        places: Sequence[Placement],
        masks: Sequence[NDArray[np.bool_] | None],
        color: NDArray[np.uint8],
    ) -> None:
        self._places = places
        self._ranges = {position: depth_range(solution, position) for position in solution.placed}
        self._neighbours = choose_neighbours(solution)
        self.usable = [position for position in solution.placed if self._ranges[position] is not None]
        # Not of a method: in a circle with this object the cache would keep the pictures mapped.
        self.view = lru_cache(maxsize=_VIEWS_IN_MEMORY)(partial(_view, solution, places, masks, color, self._ranges))

    def neighbours(self, position: int) -> list[View]:
        """Those that a frame's depth is searched in."""
        return [self.view(other) for other in self._neighbours[position] if self._ranges[other] is not None]

    def witnesses(self, position: int, maps: Float32) -> list[Witness]:
        """Those whose depth `maps` speak for or against a frame's own."""
        others = [other for other in self._neighbours[position] if self._ranges[other] is not None]
        return [(self.view(other), self.take(maps, other)) for other in others]

    def take(self, arrays: NDArray, position: int) -> NDArray:
        """A frame's part of the common arrays, copied."""
        return np.array(arrays[position][self._places[position].window])

    def put(self, arrays: Float32, position: int, values: Float32) -> None:
        """Write a frame's part of the common arrays."""
        arrays[position][self._places[position].window] = values


def _view(
    solution: Solution,
    places: Sequence[Placement],
    masks: Sequence[NDArray[np.bool_] | None],
    color: NDArray[np.uint8],
    ranges: Mapping[int, tuple[float, float] | None],
    position: int,
) -> View:
    lens, pose, bounds, place = solution.lenses[position], solution.poses[position], ranges[position], places[position]
    assert lens is not None
    assert pose is not None
    assert bounds is not None
    return View(np.array(color[position][place.window]), masks[position], place.lens(lens), pose, *bounds)


def depth_range(solution: Solution, position: int) -> tuple[float, float] | None:
    """Z depths between which a frame's surfaces lie, from the points it sees; None where those are too few."""
    depths = solution.depths(position)
    depths = depths[depths > 0]
    if len(depths) < FEWEST_POINTS:
        return None
    near, far = np.percentile(depths, [1, 99])
    return float(near) * 0.75, float(far) * 1.4
