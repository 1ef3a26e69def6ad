"""Which frames see the same things from far enough apart, but not too far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...geometry.cameras import camera_center
from .solution import Solution

ANGLES = (1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 8.0)
"""Degrees between two frames' rays to a point, for each neighbour wanted: near ones see most of what a frame sees, far
ones tell depth exactly."""

FEWEST_SHARED = 12
MOST_ZOOM = 0.4
WORST_SCORE = 1e-4

Array = NDArray[np.float64]


def choose_neighbours(solution: Solution, angles: Sequence[float] = ANGLES) -> dict[int, list[int]]:
    """For each placed frame up to as many others as `angles`; a frame that shares too little with all has none."""
    placed = solution.placed
    seen = np.zeros((len(placed), len(solution.xyz)), np.float32)
    for row, position in enumerate(placed):
        seen[row, solution.observations[position].points] = 1
    shared = seen @ seen.T
    np.fill_diagonal(shared, 0)
    centers = camera_center(np.stack([pose for pose in solution.poses if pose is not None]))
    return {
        position: [placed[other] for other in _choose(solution.xyz, centers, row, seen, shared[row], angles)]
        for row, position in enumerate(placed)
    }


def _choose(
    xyz: Array,
    centers: Array,
    row: int,
    seen: NDArray[np.float32],
    shared: NDArray[np.float32],
    wanted: Sequence[float],
) -> list[int]:
    candidates = np.flatnonzero(shared >= FEWEST_SHARED)
    if not len(candidates):
        return []
    views = [_angle_and_zoom(xyz[seen[row] * seen[other] > 0], centers[row], centers[other]) for other in candidates]
    angles, zooms = np.array(views).T
    enough = np.minimum(1.0, shared[candidates] / max(1.0, 0.3 * seen[row].sum()))
    baselines = centers[candidates] - centers[row]
    novelty = enough * np.exp(-0.5 * (zooms / MOST_ZOOM) ** 2)
    chosen: list[int] = []
    for target in wanted:
        width = np.where(angles < target, 0.45, 0.8)
        scores = novelty * np.exp(-0.5 * (np.log(np.maximum(angles, 1e-6) / target) / width) ** 2)
        best = int(scores.argmax())
        if scores[best] > WORST_SCORE:
            chosen.append(int(candidates[best]))
            # What one neighbour cannot see, the next on the same side does not see either.
            offset = np.linalg.norm(baselines - baselines[best], axis=1) / np.linalg.norm(baselines[best])
            novelty *= np.clip(offset, 0.2, 1.0)
            novelty[best] = 0
    return chosen


def _angle_and_zoom(points: Array, first: Array, second: Array) -> tuple[float, float]:
    """Median angle in degrees at `points` (M, 3) between two camera centres, and |log| of their ratio of distance."""
    to_first, to_second = points - first, points - second
    near, far = np.linalg.norm(to_first, axis=1), np.linalg.norm(to_second, axis=1)
    cosine = (to_first * to_second).sum(axis=1) / np.maximum(near * far, 1e-12)
    angle = float(np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1)))))
    return angle, abs(float(np.log(np.median(far / np.maximum(near, 1e-12)))))
