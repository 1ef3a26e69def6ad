"""Which frames see the same things from far enough apart, but not too far."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...geometry.cameras import camera_center
from .solution import Solution

BEST_ANGLE = 5.0
"""Degrees between two frames' rays to a point at which depth is most exact before the views differ too much."""

FEWEST_SHARED = 12

Array = NDArray[np.float64]


def choose_neighbours(solution: Solution, count: int) -> dict[int, list[int]]:
    """For each placed frame up to `count` others, best first; frames that share too little have none."""
    placed = solution.placed
    seen = np.zeros((len(placed), len(solution.xyz)), np.float32)
    for row, position in enumerate(placed):
        seen[row, solution.observations[position].points] = 1
    shared = seen @ seen.T
    np.fill_diagonal(shared, 0)
    return {
        position: [placed[other] for other in _choose(solution, placed, row, seen, shared[row], count)]
        for row, position in enumerate(placed)
    }


def _choose(
    solution: Solution, placed: list[int], row: int, seen: NDArray[np.float32], shared: NDArray[np.float32], count: int
) -> list[int]:
    candidates = np.flatnonzero(shared >= FEWEST_SHARED)
    centers = camera_center(np.stack([solution.poses[placed[r]] for r in [row, *candidates]]))
    scores = np.array(
        [
            _suitability(solution.xyz[(seen[row] * seen[other]) > 0], centers[0], center)
            * min(1.0, shared[other] / max(1.0, 0.3 * seen[row].sum()))
            for other, center in zip(candidates, centers[1:], strict=True)
        ]
    )
    baselines = centers[1:] - centers[0]
    chosen: list[int] = []
    while len(chosen) < min(count, len(candidates)):
        best = int(scores.argmax())
        if scores[best] <= 0:
            break
        chosen.append(best)
        scores[best] = 0
        # What one neighbour cannot see, the next on the same side does not see either.
        offset = np.linalg.norm(baselines - baselines[best], axis=1) / np.linalg.norm(baselines[best])
        scores *= np.clip(offset, 0.2, 1.0)
    return [int(candidates[index]) for index in chosen]


def _suitability(points: Array, first: Array, second: Array) -> float:
    """0..1: how near the median angle at the shared points is to the best, and whether the scales agree."""
    to_first, to_second = points - first, points - second
    near, far = np.linalg.norm(to_first, axis=1), np.linalg.norm(to_second, axis=1)
    cosine = (to_first * to_second).sum(axis=1) / np.maximum(near * far, 1e-12)
    angle = float(np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1)))))
    width = 0.45 if angle < BEST_ANGLE else 0.8
    zoom = abs(float(np.log(np.median(far / np.maximum(near, 1e-12)))))
    return float(np.exp(-0.5 * (np.log(max(angle, 1e-6) / BEST_ANGLE) / width) ** 2) * np.exp(-0.5 * (zoom / 0.4) ** 2))
