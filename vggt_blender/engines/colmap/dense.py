"""Depth maps for all placed frames: estimated one by one, then fused with their neighbours'."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...exchange.messages import Reporter
from ...exchange.writer import ReconstructionWriter
from .consistency import fuse
from .depth import estimate, neighbours_of
from .filling import fill
from .layout import Placement
from .neighbours import WITNESS_ANGLES, choose_neighbours
from .solution import Solution
from .views import View

FEWEST_POINTS = 8
"""A frame that sees fewer points has no known depth range, so no depth map."""

_VIEWS_IN_MEMORY = 48


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
    color, depth, confidence = writer.color, writer.depth, writer.confidence
    neighbours = choose_neighbours(solution)
    witnesses = choose_neighbours(solution, WITNESS_ANGLES)
    ranges = {position: depth_range(solution, position) for position in solution.placed}
    usable = [position for position in solution.placed if ranges[position] is not None]

    @lru_cache(maxsize=_VIEWS_IN_MEMORY)
    def view(position: int) -> View:
        picture = np.ascontiguousarray(color[position][places[position].window])
        lens, pose, bounds = solution.lenses[position], solution.poses[position], ranges[position]
        assert lens is not None
        assert pose is not None
        assert bounds is not None
        return View(picture, masks[position], places[position].lens(lens), pose, *bounds)

    def others_depth(position: int, maps: NDArray[np.float32]) -> list[tuple[View, NDArray[np.float32]]]:
        return [
            (view(other), np.ascontiguousarray(maps[other][places[other].window]))
            for other in witnesses[position]
            if ranges[other] is not None
        ]

    raw = _scratch(writer.staging / "depth-raw.npy", depth.shape)
    for done, position in enumerate(usable):
        report.progress("depth", done, 2 * len(usable))
        others = [view(other) for other in neighbours[position] if ranges[other] is not None]
        if others:
            window = places[position].window
            raw[position][window], confidence[position][window] = estimate(view(position), others)
    for done, position in enumerate(usable):
        report.progress("depth", len(usable) + done, 2 * len(usable))
        window = places[position].window
        depth[position][window], confidence[position][window] = fuse(
            view(position), np.array(raw[position][window]), np.array(confidence[position][window]), others_depth(position, raw)
        )
    for position in usable:
        window = places[position].window
        others = others_depth(position, depth)
        here = np.array(depth[position][window])
        holes = np.isfinite(raw[position][window]) & ~np.isfinite(here)
        raw[position][window] = here
        if others:
            raw[position][window], confidence[position][window] = fill(
                view(position), neighbours_of(view(position), [view(other) for other in neighbours[position] if ranges[other] is not None]), holes, here, np.array(confidence[position][window]), others
            )
    for position in usable:
        depth[position] = raw[position]
    report.progress("depth", 2 * len(usable), 2 * len(usable))


def depth_range(solution: Solution, position: int) -> tuple[float, float] | None:
    """Z depths between which a frame's surfaces lie, from the points it sees; None where those are too few."""
    depths = solution.depths(position)
    depths = depths[depths > 0]
    if len(depths) < FEWEST_POINTS:
        return None
    near, far = np.percentile(depths, [1, 99])
    return float(near) * 0.75, float(far) * 1.4


def _scratch(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for frame in array:
        frame[:] = np.nan
    return array
