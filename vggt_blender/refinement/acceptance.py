"""Is it better? Tracks that the adjustment never saw, triangulated with the cameras before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .tracks import Observations
from .triangulation import triangulate
from .views import Views

Array = NDArray[np.float64]

MARGIN = 0.05
"""The held-out error must fall by at least this part."""

LEAST_GAIN = 0.02
"""... and by at least so many working pixels: features are as exact as those are large."""

WORSE_FRAME = 1.25
"""No frame's own error may grow by more than this factor and `LEAST_GAIN`..."""

LIKE_OTHERS = 1.5
"""... unless it stays within this factor of the usual frame's: among cameras that are far off, a few can be near each
other by chance."""

FEWEST_IN_FRAME = 15

SURE, WORTH = 3.0, 0.01
"""By how many standard errors of the mean gain a track, and by what part, a freer model must win."""

_ROBUST = 2.0


@dataclass(frozen=True)
class Agreement:
    """How well cameras agree with tracks: ``median`` error in source pixels, ``score`` the robust mean that is
    compared, in working pixels, ``tracks`` (T,) what each track adds to it, ``frames`` (N,) each frame's median in
    source pixels (NaN where it has too few observations), and ``least_gain`` (N,) what counts there."""

    median: float
    score: float
    tracks: Array
    frames: Array
    least_gain: Array


def agreement(held: Observations, views: Views) -> Agreement:
    """Triangulate the held-out tracks with `views` and measure.

    The score averages log(1 + e^2) of working pixels, which neither a few lost tracks nor a few perfect ones decide.
    """
    seen = triangulate(held, views, scale=_ROBUST).error
    error = seen / views.scales[held.frame]
    frames = np.full(len(views), np.nan)
    for k in range(len(views)):
        mine = error[held.frame == k]
        if len(mine) >= FEWEST_IN_FRAME:
            frames[k] = np.median(mine)
    surprise = np.log1p(seen**2)
    tracks = np.bincount(held.track, surprise) / held.lengths()
    median, score = np.nan, np.nan  # of no tracks, which speak neither for nor against
    if len(seen):
        median, score = float(np.median(error)), float(np.sqrt(np.expm1(surprise.mean())))
    return Agreement(median, score, tracks, frames, LEAST_GAIN / views.scales)


def is_surely_better(freer: Agreement, stiffer: Agreement) -> bool:
    """Whether a freer model's cameras win, track by track, by `SURE` standard errors and by `WORTH` of the error.

    Features are not exact: with enough tracks even the way they err is a "sure" gain of a thousandth.
    """
    gain = stiffer.tracks - freer.tracks
    return bool(gain.mean() > max(SURE * gain.std() / np.sqrt(len(gain)), WORTH * stiffer.tracks.mean()))


def is_better(after: Agreement, before: Agreement) -> bool:
    """Whether the cameras after are clearly better, and no single frame pays for it."""
    gain = before.score - after.score
    judged = after.frames[np.isfinite(after.frames)]
    usual = np.median(judged) if len(judged) else np.nan
    with np.errstate(invalid="ignore"):
        pays = (after.frames > WORSE_FRAME * before.frames) & (after.frames > before.frames + before.least_gain)
        pays &= after.frames > LIKE_OTHERS * usual
    return bool(gain > MARGIN * before.score and gain > LEAST_GAIN and after.median < before.median and not pays.any())


def is_no_worse(after: Agreement, before: Agreement) -> bool:
    """Whether nothing clearly speaks for the cameras before: enough where the artist asked for those after."""
    return bool(after.score <= (1 + MARGIN) * before.score or after.score <= before.score + LEAST_GAIN)
