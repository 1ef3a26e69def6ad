"""Depth maps against known depth. Numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..exchange.reconstruction import Reconstruction
from ..geometry.cameras import sample_pixels
from .pairs import Pair

Array = NDArray[np.float64]

FLAT = 0.02
"""Relative spread of inverse depth between four neighbours up to which depth is interpolated."""

EDGE = 1.1
"""Ratio of depths within one pixel's distance from which it is an edge; pixels up to EDGE_REACH away belong to it."""
EDGE_REACH = 2


@dataclass(frozen=True)
class DepthError:
    """Depth errors over all samples of a shot whose depth is known.

    ``scale`` is the median of known over solved depth, with which the errors are taken; ``scale_of_cameras`` comes from
    the alignment of the cameras (None without a path), and ``abs_rel_of_cameras`` is taken with it. ``within`` is the
    share of solved samples whose ratio to the truth is below 1.25, ``coverage`` the share of known samples that were
    solved. ``flat`` and ``edge`` part the samples by the truth's depth edges.
    """

    frames: int
    scale: float
    scale_of_cameras: float | None
    abs_rel: float
    abs_rel_of_cameras: float | None
    within: float
    coverage: float
    abs_rel_flat: float | None
    abs_rel_edge: float | None
    coverage_flat: float | None
    coverage_edge: float | None


def sample_depth(depth: ArrayLike, positions: ArrayLike) -> Array:
    """Depth at `positions` (..., 2) in the map's own pixels: exact on planes, the nearest sample at edges.

    NaN where the nearest sample is unknown or lies outside.
    """
    values = np.asarray(depth, np.float64)
    height, width = values.shape
    x, y = np.moveaxis(np.asarray(positions, np.float64), -1, 0) - 0.5
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    column, row = (np.clip(np.rint(axis), 0, size - 1).astype(int) for axis, size in ((x, width), (y, height)))
    with np.errstate(all="ignore"):
        inverse = 1 / values
        left = np.clip(np.floor(x), 0, max(width - 2, 0)).astype(int)
        top = np.clip(np.floor(y), 0, max(height - 2, 0)).astype(int)
        right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        u, v = x - left, y - top
        corners = np.stack([inverse[top, left], inverse[top, right], inverse[bottom, left], inverse[bottom, right]])
        weights = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
        nearest = inverse[row, column]
        flat = np.ptp(corners, axis=0) < FLAT * np.abs(nearest)  # False wherever a corner is unknown
        sampled = 1 / np.where(flat, (corners * weights).sum(axis=0), nearest)
    return np.where(inside, sampled, np.nan)


def depth_edges(depth: ArrayLike) -> NDArray[np.bool_]:
    """Where depth (h, w) jumps, or meets the unknown, within EDGE_REACH pixels."""
    values = np.asarray(depth, np.float64)
    low = _spread(np.nan_to_num(values, nan=0.0), 1, np.minimum)
    high = _spread(np.nan_to_num(values, nan=np.inf), 1, np.maximum)
    return _spread(high > EDGE * low, EDGE_REACH, np.logical_or)


def depth_error(
    reconstruction: Reconstruction, pairs: Sequence[Pair], scale_of_cameras: float | None
) -> DepthError | None:
    """Compare all registered frames that have depth on both sides; None where there is none."""
    solved, known, edge = [], [], []
    for pair in pairs:
        if reconstruction.depth is None or pair.truth.depth is None or pair.frame.depth_to_image is None:
            continue
        depth = np.asarray(reconstruction.depth[pair.position], np.float64)
        height, width = pair.truth.depth.shape
        source = sample_pixels((depth.shape[0], depth.shape[1]), pair.frame.depth_to_image)
        positions = source * [width / pair.frame.width, height / pair.frame.height]
        truth = sample_depth(pair.truth.depth, positions)
        use = np.isfinite(truth) & (truth > 0)
        row, column = (
            np.clip(positions[..., axis].astype(int), 0, size - 1)[use] for axis, size in ((1, height), (0, width))
        )
        solved.append(depth[use])
        known.append(truth[use])
        edge.append(depth_edges(pair.truth.depth)[row, column])
    if not solved or not np.isfinite(np.concatenate(solved)).any():
        return None
    return _errors(np.concatenate(solved), np.concatenate(known), np.concatenate(edge), len(solved), scale_of_cameras)


def _errors(
    solved: Array, known: Array, edge: NDArray[np.bool_], frames: int, scale_of_cameras: float | None
) -> DepthError:
    covered = np.isfinite(solved) & (solved > 0)
    ratio = solved[covered] / known[covered]
    on_edge = edge[covered]
    scale = float(np.median(1 / ratio))
    error = np.abs(scale * ratio - 1)
    return DepthError(
        frames=frames,
        scale=scale,
        scale_of_cameras=scale_of_cameras,
        abs_rel=float(error.mean()),
        abs_rel_of_cameras=None if scale_of_cameras is None else float(np.abs(scale_of_cameras * ratio - 1).mean()),
        within=float((np.maximum(scale * ratio, 1 / (scale * ratio)) < 1.25).mean()),
        coverage=float(covered.mean()),
        abs_rel_flat=_mean(error[~on_edge]),
        abs_rel_edge=_mean(error[on_edge]),
        coverage_flat=_mean(covered[~edge]),
        coverage_edge=_mean(covered[edge]),
    )


def _mean(values: NDArray[Any]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _spread(values: NDArray[Any], reach: int, combine: np.ufunc) -> NDArray[Any]:
    """`combine` over the square of `reach` pixels about each pixel."""
    for axis in (0, 1):
        for _ in range(reach):
            size = values.shape[axis]
            ahead = np.take(values, np.minimum(np.arange(size) + 1, size - 1), axis)
            behind = np.take(values, np.maximum(np.arange(size) - 1, 0), axis)
            values = combine(combine(values, ahead), behind)
    return values
