"""Measured points: which of them agree with the solve, and the similarity that puts it where they were measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..exchange.hand_tracks import SCALE, WORLD
from ..geometry.alignment import Similarity, align_points

Array = NDArray[np.float64]

TOLERANCE = 0.01
"""Of the survey's extent: a point that lies farther off than this, and than the others do, is wrong."""

FAR_OFF = 5.0
"""So many times the others' usual distance."""

LINE = 0.03
"""Points whose second spread is less than this part of the first lie on a line."""

TRIALS = 2000


@dataclass(frozen=True)
class SurveyFit:
    """``metric_from_solve`` takes the solve to metres. ``gives`` is `WORLD` or `SCALE`; ``distance`` (T,) in metres
    between each solved place and the measured one, NaN where either is unknown or only the scale is; ``agrees`` (T,)
    where a measured point is one of those that the rest believes; they should lie within ``tolerance`` metres."""

    metric_from_solve: Similarity
    gives: str
    distance: Array
    agrees: NDArray[np.bool_]
    tolerance: float = np.inf


def fit_survey(solved: Array, surveyed: Array) -> SurveyFit | None:
    """Bring places `solved` (T, 3) to `surveyed` (T, 3), NaN where unknown; None where fewer than two say anything.

    Of the similarities through three points the one with the least median distance says which points agree; those
    decide together. Two points, or points on a line, give the scale alone.
    """
    known = np.isfinite(solved).all(axis=1) & np.isfinite(surveyed).all(axis=1)
    places = np.flatnonzero(known)
    if len(places) < 2:
        return None
    a, b = solved[places], surveyed[places]
    if is_line(b) or is_line(a):
        return _scale_alone(a, b, known)
    agree = _agreeing(a, b)
    if is_line(b[agree]):
        agree = np.ones(len(places), np.bool_)
    move = align_points(a[agree], b[agree])
    distance, agrees = np.full(len(solved), np.nan), np.zeros(len(solved), np.bool_)
    distance[places] = np.linalg.norm(move.apply(a) - b, axis=1)
    agrees[places] = agree
    return SurveyFit(move, WORLD, distance, agrees, TOLERANCE * _extent(b))


def is_line(points: Array) -> bool:
    """Whether `points` (M, 3) are too few, or too much in a line, to say how a world is turned."""
    if len(points) < 3:
        return True
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(spread[1] <= LINE * spread[0])


def _extent(points: Array) -> float:
    return float(np.linalg.norm(points - points.mean(axis=0), axis=1).max())


def _agreeing(a: Array, b: Array) -> NDArray[np.bool_]:
    threes = list(combinations(range(len(a)), 3))
    if len(threes) > TRIALS:
        threes = [threes[k] for k in np.random.default_rng(0).choice(len(threes), TRIALS, replace=False)]
    best = np.linalg.norm(align_points(a, b).apply(a) - b, axis=1)
    for three in threes:
        chosen = list(three)
        if is_line(b[chosen]):
            continue
        distance = np.linalg.norm(align_points(a[chosen], b[chosen]).apply(a) - b, axis=1)
        if np.median(distance) < np.median(best):
            best = distance
    return best <= max(FAR_OFF * float(np.median(best)), TOLERANCE * _extent(b))


def _scale_alone(a: Array, b: Array, known: NDArray[np.bool_]) -> SurveyFit | None:
    pairs = np.array(list(combinations(range(len(a)), 2)))
    apart, measured = (np.linalg.norm(side[pairs[:, 0]] - side[pairs[:, 1]], axis=1) for side in (a, b))
    usable = (apart > 0) & (measured > 0)
    if not usable.any():
        return None
    scale = float(np.median(measured[usable] / apart[usable]))
    return SurveyFit(Similarity(scale, np.eye(3), np.zeros(3)), SCALE, np.full(len(known), np.nan), known)
