"""Measured points: which of them agree with the solve, and the similarity that puts it where they were measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..exchange.hand_tracks import SCALE, WORLD
from ..geometry.alignment import Similarity, align_points
from ..geometry.rotations import rotation_matrix
from .adjustment import LEAST_ANGLE
from .tracks import Observations
from .trusted import ROBUST, Trusted, offsets
from .views import Views

Array = NDArray[np.float64]

TOLERANCE = 0.01
"""Of the survey's extent: a point that lies farther off than this, and than the others do, is wrong."""

FAR_OFF = 5.0
"""So many times the others' usual distance."""

LINE = 0.03
"""Points whose second spread is less than this part of the first lie on a line."""

TRIALS = 2000

STEPS, NUDGE = 20, 1e-6
"""Of the search for the world: how many, and what a derivative is taken over (radians, parts of the extent)."""


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


def fit_survey(part: Trusted, views: Views) -> SurveyFit | None:
    """Bring what `views` see of tracks by hand to where they were measured; None where fewer than two points say
    anything.

    Of the similarities through three points the one with the least median distance says which points agree. Those
    decide together, by where they appear in the pictures: how far away a track is, its rays tell far less exactly.
    Two points, or points on a line, give the scale alone.
    """
    places = part.structure(views)
    solved = np.where((places.angle > LEAST_ANGLE)[:, None], places.positions(), np.nan)
    fit = _fit_places(solved, part.surveyed)
    if fit is None or fit.gives != WORLD:
        return fit
    mine = fit.agrees[part.table.track] & (places.error < ROBUST)  # no slips
    table = Observations(part.table.track[mine], part.table.frame[mine], part.table.xy[mine])
    if len(np.unique(table.track)) < 3:
        return fit
    move = _by_pixels(fit.metric_from_solve.inverse(), part.surveyed, table, views).inverse()
    return replace(fit, metric_from_solve=move, distance=np.linalg.norm(move.apply(solved) - part.surveyed, axis=1))


def _by_pixels(start: Similarity, surveyed: Array, table: Observations, views: Views) -> Similarity:
    """solve_from_metric that brings `surveyed` (T, 3) closest to the observations of `table`, by Levenberg-Marquardt
    on its seven numbers."""

    def moved(step: Array) -> Similarity:
        scale, rotation = start.scale * np.exp(step[6]), rotation_matrix(step[:3]) @ start.rotation
        middle = start.apply(center)
        return Similarity(float(scale), rotation, middle + step[3:6] * size - scale * rotation @ center)

    def missed(step: Array) -> Array:
        points = np.column_stack([moved(step).apply(np.nan_to_num(surveyed)), np.ones(len(surveyed))])
        return offsets(table, views, points).ravel()

    center = np.nanmean(surveyed[np.unique(table.track)], axis=0)
    size = start.scale * _extent(surveyed[np.unique(table.track)])
    best, damping = np.zeros(7), 1e-3
    error = missed(best)
    for _ in range(STEPS):
        slope = np.stack([(missed(best + row) - error) / NUDGE for row in NUDGE * np.eye(7)], axis=1)
        normal = slope.T @ slope
        step = best - np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), slope.T @ error)
        trial = missed(step)
        if trial @ trial < error @ error:
            best, error, damping = step, trial, damping / 10
        else:
            damping *= 10
    return moved(best)


def _fit_places(solved: Array, surveyed: Array) -> SurveyFit | None:
    """The same for places `solved` (T, 3) and `surveyed` (T, 3), NaN where unknown, by their distances."""
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
