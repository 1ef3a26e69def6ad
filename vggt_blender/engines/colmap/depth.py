"""Dense depth of one frame from its neighbours: a search over all depths, then refinement along what was found."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .edges import resolve
from .parallel import side_by_side
from .semiglobal import surface
from .sweep import Correlation, Neighbour, best_two
from .views import Float32, View, relative_pose
from .voids import voids

FEWEST_PLANES, MOST_PLANES = 24, 96
PLANE_STEP = 1.0
"""Distance of neighbouring planes in pixels of the neighbour that moves most."""

SEARCHED = 6
"""Neighbours that the search looks at, the nearest; the others refine."""

NEAREST = 2
"""Neighbours that tell depth least exactly: they refine only what the others do not see."""

CLEARLY = 0.2
"""Difference of cost from which what the others show is something else."""

SEARCH_RADIUS, REFINE_RADIUS = 1, 2
"""Of the windows that are compared. Small windows keep depth edges; the search has its neighbours' support besides."""

REFINEMENTS = ((3, 0.35), (2, 0.15))
"""Each as offsets to either side of the surface found so far, and their distance in planes."""


def estimate(view: View, others: Sequence[View]) -> tuple[Float32, Float32]:
    """Z depth (h, w) and the mean correlation 0..1 (h, w) of its two best neighbours. Needs one neighbour."""
    neighbours = neighbours_of(view, others)
    inverse, step = _search(view, neighbours[:SEARCHED])
    inverse, cost = _refine(view, neighbours, inverse, step)
    inverse, cost = resolve(view, neighbours, inverse, cost, step)
    correlation = np.clip(1 - cost, 0, 1)
    unknown = voids(view, correlation)
    if view.usable is not None:
        unknown |= ~view.usable
    return np.where(unknown, np.float32(np.nan), 1 / inverse), correlation


def neighbours_of(view: View, others: Sequence[View]) -> list[Neighbour]:
    """The `others` as they are reached from the rays of `view`."""
    return [
        Neighbour.of(other.pinhole, relative_pose(view.camera_from_world, other.camera_from_world), view.rays)
        for other in others
    ]


def _search(view: View, neighbours: Sequence[Neighbour]) -> tuple[Float32, float]:
    """Inverse depth (h, w), and the step between its planes."""
    low, high = 1 / view.far, 1 / view.near
    planes = np.linspace(low, high, _plane_count(neighbours, low, high), dtype=np.float32)
    correlation = Correlation(view.brightness, SEARCH_RADIUS)
    costs = np.empty((*view.gray.shape, len(planes)), np.float32)

    def fill(index: int) -> None:
        costs[:, :, index] = best_two(correlation, neighbours, float(planes[index]))

    side_by_side(fill, range(len(planes)))
    step = float(planes[1] - planes[0])
    return (low + step * surface(costs, view.gray)).astype(np.float32), step


def _plane_count(neighbours: Sequence[Neighbour], low: float, high: float) -> int:
    moves = []
    for neighbour in neighbours:
        (x0, y0), (x1, y1) = neighbour.position(low), neighbour.position(high)
        moves.append(float(np.nanmedian(np.hypot(x1 - x0, y1 - y0))))
    return int(np.clip(max(moves) / PLANE_STEP + 1, FEWEST_PLANES, MOST_PLANES))


def _refine(view: View, neighbours: Sequence[Neighbour], inverse: Float32, step: float) -> tuple[Float32, Float32]:
    """Move along the rays by fractions of the planes' `step` to where the costs' parabola is least."""
    groups = [group for group in (neighbours[NEAREST:], neighbours[:NEAREST]) if group]
    best = np.zeros_like(inverse)
    for reach, fine in REFINEMENTS:
        offsets = step * fine * np.arange(-reach, reach + 1, dtype=np.float32)
        costs = _costs_along(view, groups[0], inverse, offsets)
        for group in groups[1:]:
            other = _costs_along(view, group, inverse, offsets)
            hidden = other.min(axis=0) < costs.min(axis=0) - CLEARLY
            costs[:, hidden] = other[:, hidden]
        shift, best = parabola(costs)
        inverse = np.clip(inverse + step * fine * (shift - reach), *_bounds(view)).astype(np.float32)
        inverse = np.asarray(cv2.medianBlur(inverse, 3))
    return inverse, best


def _costs_along(view: View, neighbours: Sequence[Neighbour], inverse: Float32, offsets: Float32) -> Float32:
    """Costs (K, h, w) at `inverse` (h, w) + `offsets` (K,)."""
    correlation = Correlation(view.brightness, REFINE_RADIUS)
    costs = np.empty((len(offsets), *inverse.shape), np.float32)

    def work(index: int) -> None:
        cost = best_two(correlation, neighbours, np.clip(inverse + offsets[index], *_bounds(view)))
        costs[index] = cv2.blur(cost, (3, 3))

    side_by_side(work, range(len(offsets)))
    return costs


def _bounds(view: View) -> tuple[float, float]:
    """Inverse depths that refinement stays between."""
    return 0.5 / view.far, 2 / view.near


def parabola(costs: Float32) -> tuple[Float32, Float32]:
    """Where the costs (K, h, w) are least along the first axis, between samples, and the least cost."""
    index = np.clip(costs.argmin(axis=0), 1, len(costs) - 2)[None]
    before, at, after = (np.take_along_axis(costs, index + move, 0)[0] for move in (-1, 0, 1))
    curvature = before - 2 * at + after
    with np.errstate(divide="ignore", invalid="ignore"):
        move = np.where(curvature > 1e-6, 0.5 * (before - after) / curvature, 0)
    return index[0] + np.clip(move, -1, 1).astype(np.float32), costs.min(axis=0)
