"""Dense depth of one frame from its neighbours: a coarse search over all depths, then refinement at full size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .semiglobal import surface
from .sweep import Correlation, Neighbour, best_two
from .views import Float32, View, halved, relative_pose

MAX_PLANES = 128
PLANE_STEP = 0.75
"""Distance of neighbouring planes in half-size pixels of the neighbour that moves most."""


def estimate(view: View, others: Sequence[View]) -> tuple[Float32, Float32]:
    """Z depth (h, w) and the mean correlation 0..1 (h, w) of its two best neighbours. Needs one neighbour."""
    inverse, step = _search(view, others)
    height, width = view.gray.shape
    inverse = cv2.copyMakeBorder(inverse, 0, height % 2, 0, width % 2, borderType=cv2.BORDER_REPLICATE)
    guess = cv2.resize(inverse, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return _refine(view, others, np.ascontiguousarray(guess), step)


def _search(view: View, others: Sequence[View]) -> tuple[Float32, float]:
    """Inverse depth at half size, and the step between its planes."""
    gray = halved(view.gray)
    rays = np.stack([halved(channel) for channel in view.rays])
    neighbours = [Neighbour.of(other.pinhole_coarse, _between(view, other), rays) for other in others]
    low, high = 1 / view.far, 1 / view.near
    planes = np.linspace(low, high, _plane_count(neighbours, low, high), dtype=np.float32)
    correlation = Correlation(gray, 2)
    costs = np.empty((*gray.shape, len(planes)), np.float32)
    for index, plane in enumerate(planes):
        costs[:, :, index] = best_two(correlation, neighbours, float(plane))
    step = float(planes[1] - planes[0])
    return (low + step * surface(costs, gray)).astype(np.float32), step


def _between(view: View, other: View) -> NDArray[np.float64]:
    return relative_pose(view.camera_from_world, other.camera_from_world)


def _plane_count(neighbours: Sequence[Neighbour], low: float, high: float) -> int:
    moves = []
    for neighbour in neighbours:
        (x0, y0), (x1, y1) = neighbour.position(low), neighbour.position(high)
        moves.append(float(np.median(np.hypot(x1 - x0, y1 - y0))))
    return int(np.clip(max(moves) / PLANE_STEP + 1, 24, MAX_PLANES))


def _refine(view: View, others: Sequence[View], inverse: Float32, step: float) -> tuple[Float32, Float32]:
    """Follow the surface at full size: offsets of a few fractions of the coarse planes' step, parabola at the best."""
    neighbours = [Neighbour.of(other.pinhole, _between(view, other), view.rays) for other in others]
    correlation = Correlation(view.gray, 3)
    low, high = 0.5 / view.far, 2 / view.near
    best = np.zeros_like(inverse)
    for reach, fine in ((3, 0.35), (2, 0.15)):
        offsets = step * fine * np.arange(-reach, reach + 1, dtype=np.float32)
        costs = np.stack([best_two(correlation, neighbours, np.clip(inverse + o, low, high)) for o in offsets])
        costs = np.stack([cv2.boxFilter(cost, -1, (3, 3)) for cost in costs])
        shift, best = _parabola(costs)
        inverse = np.clip(inverse + step * fine * (shift - reach), low, high).astype(np.float32)
        inverse = np.asarray(cv2.medianBlur(inverse, 3))
    return 1 / inverse, np.clip(1 - best, 0, 1)


def _parabola(costs: Float32) -> tuple[Float32, Float32]:
    """Where the costs (K, h, w) are least along the first axis, between samples, and the least cost."""
    index = np.clip(costs.argmin(axis=0), 1, len(costs) - 2)[None]
    before, at, after = (np.take_along_axis(costs, index + move, 0)[0] for move in (-1, 0, 1))
    curvature = before - 2 * at + after
    with np.errstate(divide="ignore", invalid="ignore"):
        move = np.where(curvature > 1e-6, 0.5 * (before - after) / curvature, 0)
    return index[0] + np.clip(move, -1, 1).astype(np.float32), costs.min(axis=0)
