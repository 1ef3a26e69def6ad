"""Depth edges and holes: which of the surfaces near a pixel is its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .parallel import side_by_side
from .sweep import Neighbour
from .views import Float32, View
from .windows import AdaptiveCorrelation, Indices, Windows, padded

REACHES = (3, 6)
"""Pixels from which other depths are taken: beyond what a square window smears."""

SAME = 0.02
"""Depths that differ by less than this share are one surface's."""

JUMP = 0.05
"""Bend of depth over a reach, as a share of it, that makes an edge."""

SUPPORT = 0.5
"""How much the share of a window that lies on a surface counts, beside the correlation."""

FINE = 0.35
"""Step of the refinement of what was chosen, in planes."""

_CHUNK = 4096


def resolve(
    view: View, neighbours: Sequence[Neighbour], inverse: Float32, cost: Float32, step: float
) -> tuple[Float32, Float32]:
    """Inverse depth and cost (h, w) where pixels near depth edges have chosen anew among the depths around them.

    `step` is the distance between planes of the search.
    """
    bent, others = around(inverse)
    rows, columns = np.nonzero(bent)
    inverse, cost = inverse.copy(), cost.copy()
    if len(rows):
        own = inverse[rows, columns]
        candidates = np.concatenate([own[None], distinct(others[:, rows, columns], own)])
        chosen, least = choose(AdaptiveCorrelation(view, neighbours), rows, columns, inverse, candidates, FINE * step)
        inverse[rows, columns], cost[rows, columns] = chosen, least
    return inverse, cost


def around(inverse: Float32) -> tuple[NDArray[np.bool_], Float32]:
    """Where inverse depth (h, w), affine on planes, is bent; and what is found around each pixel (K, h, w)."""
    height, width = inverse.shape
    margin = max(REACHES)
    wide = np.pad(inverse, margin, mode="edge")

    def moved(y: int, x: int) -> Float32:
        return wide[margin + y : margin + y + height, margin + x : margin + x + width]

    bent = np.zeros(inverse.shape, bool)
    others = []
    for reach in REACHES:
        for y, x in ((reach, 0), (0, reach)):
            ahead, behind = moved(y, x), moved(-y, -x)
            with np.errstate(invalid="ignore"):
                bent |= np.abs(ahead + behind - 2 * inverse) > JUMP * inverse
            others += [ahead, behind]
    return bent, np.stack(others)


def distinct(values: Float32, own: Float32) -> Float32:
    """`values` (K, N) that differ from `own` (N,) and from each other, NaN after the last."""
    with np.errstate(all="ignore"):
        values = np.where(np.abs(values / own - 1) < JUMP, np.nan, values)
        values.sort(axis=0)
        values[1:][values[1:] < values[:-1] * (1 + JUMP)] = np.nan
    values.sort(axis=0)
    return values[: int(np.isfinite(values).sum(axis=0).max(initial=0))]


def choose(
    correlation: AdaptiveCorrelation,
    rows: Indices,
    columns: Indices,
    inverse: Float32,
    candidates: Float32,
    fine: float,
) -> tuple[Float32, Float32]:
    """Inverse depth and cost (N,) of pixels: the best of `candidates` (K, N), NaN where fewer.

    Any but the first is refined by up to `fine`.
    """
    chosen, least = np.empty_like(candidates[0]), np.empty_like(candidates[0])
    around = padded(inverse).ravel()

    def work(start: int) -> None:
        part = slice(start, start + _CHUNK)
        windows = correlation.windows(rows[part], columns[part])
        chosen[part], least[part] = _choose(correlation, windows, around[windows.at], candidates[:, part], fine)

    side_by_side(work, range(0, len(rows), _CHUNK))
    return chosen, least


def _choose(
    correlation: AdaptiveCorrelation, windows: Windows, around: Float32, candidates: Float32, fine: float
) -> tuple[Float32, Float32]:
    score, costs = np.full(candidates.shape, np.inf, np.float32), np.full(candidates.shape, np.inf, np.float32)
    for index, candidate in enumerate(candidates):
        there = np.flatnonzero(np.isfinite(candidate))
        if not len(there):
            continue
        part, value = windows[there], candidate[there]
        lies = np.abs(around[there] - value[:, None]) < SAME * value[:, None]
        costs[index, there] = correlation.cost(part, value)
        score[index, there] = costs[index, there] - SUPPORT * (part.weights * lies).sum(axis=1)
    pick = score.argmin(axis=0)
    best, least = candidates[pick, np.arange(len(pick))], costs[pick, np.arange(len(pick))]
    moved = np.flatnonzero(pick > 0)
    if len(moved):
        part, value = windows[moved], best[moved]
        before, after = (correlation.cost(part, value + sign * fine) for sign in (-1, 1))
        curvature = before - 2 * least[moved] + after
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where(curvature > 1e-6, 0.5 * (before - after) / curvature, 0)
        best[moved] = value + (np.clip(shift, -1, 1) * fine).astype(np.float32)
    return best, least
