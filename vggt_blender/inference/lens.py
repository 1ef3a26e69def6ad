"""One lens for one shot: a robust focal length from per-frame estimates, and whether the lens really zooms.

A network regresses the field of view of every frame on its own; keyed as it comes, the camera breathes. Focal lengths
multiply, so everything here works on their logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# A trend counts as a zoom when it moves the focal length by this share (a network's own slow errors are about half of
# it), and when it explains the estimates this many times better than one constant does.
ZOOM_SHARE = 0.10
ZOOM_GAIN = 1.6


@dataclass(frozen=True)
class LensFit:
    """``focal`` (N,) is what each frame gets, in the units that went in; ``spread`` the robust relative deviation of
    the raw estimates from it."""

    focal: Array
    zooms: bool
    spread: float


def fit_lens(raw_focal: ArrayLike, *, ordered: bool) -> LensFit:
    """Make per-frame focal lengths (N,) consistent.

    `ordered` says that frames follow each other in time, so that a smooth trend may be a zoom; pictures without an
    order share one lens. Entries that are not positive and finite count as unknown.
    """
    focal = np.asarray(raw_focal, np.float64)
    known = np.isfinite(focal) & (focal > 0)
    if not known.any():
        raise ValueError("no frame has a usable focal length")
    logs = np.log(np.where(known, focal, 1.0))
    level = float(np.median(logs[known]))
    if ordered and known.sum() >= 8:
        trend = _trend(logs, known)
        if _is_zoom(logs[known], trend[known]):
            return LensFit(np.exp(trend), True, _spread(logs[known] - trend[known]))
    return LensFit(np.full(len(focal), np.exp(level)), False, _spread(logs[known] - level))


def _spread(residuals: Array) -> float:
    return float(1.4826 * np.median(np.abs(residuals)))


def _trend(logs: Array, known: NDArray[np.bool_]) -> Array:
    """A running median followed by a running mean, over about a fifth of the shot."""
    positions = np.arange(len(logs))
    filled = np.interp(positions, positions[known], logs[known])
    half = max(2, len(logs) // 10)
    padded = np.pad(filled, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    medians = np.pad(np.median(windows, axis=1), half, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(medians, 2 * half + 1).mean(axis=1)


def _is_zoom(logs: Array, trend: Array) -> bool:
    travel = float(trend.max() - trend.min())
    return travel > ZOOM_SHARE and _spread(logs - np.median(logs)) > ZOOM_GAIN * _spread(logs - trend)
