"""From correspondences to better cameras: start, pan or bundle, and how much of the lens to believe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..exchange.hand_tracks import WORLD
from ..exchange.known import Known
from ..exchange.messages import Reporter
from ..geometry.cameras import camera_center
from .acceptance import Agreement, agreement, is_no_worse, is_surely_better
from .adjustment import Adjusted, Freedom, adjust, focal_deviation
from .correspondences import Correspondences
from .registration import place_others
from .report import Refusal
from .rotation_only import LEAST_IN_TURN, Tell, turn_only
from .rotations import average_rotations
from .survey import fit_survey
from .tracks import Observations, hold_out, longest
from .trusted import NOBODYS, Trusted
from .views import Views

Array = NDArray[np.float64]

FEWEST_TRACKS = 60
FEWEST_HELD_OUT = 15

FEWEST_BY_HAND = 6
"""So many tracks by hand solve a shot whose features are too few."""

COARSE, FINE = (64.0, 16.0, 8.0), (4.0, 2.0, 1.0)
"""Working pixels that count as an outlier, from round to round."""

COARSE_TRACKS, FINE_TRACKS = 120, 1200
"""The longest tracks of each frame that an adjustment takes."""

PAN_MEDIAN, PAN_MOST = 1.0, 3.0
"""Working pixels that half, and nine tenths, of all observations must stay within for a camera that only turns."""

LEAST_FITTING = 0.25
"""A frame where fewer of its observations fit than this part stands in the wrong place."""

PLACING_ROUNDS = 2

FLAT = 1.5
"""A scene is a plane where moving every point onto it shifts no more than a tenth of the pixels by more than this."""


@dataclass(frozen=True)
class Refined:
    """The best cameras found, and how well held-out tracks agree ``before`` and ``after``.

    ``adjusted`` is None where the camera only turns. ``held`` (N,) says which frames took part. ``focal_deviation``:
    the relative standard deviation of the focal length; None where it was not solved for. ``hand_before`` and
    ``hand_after``: how well the tracks by hand agree, None without any.
    """

    views: Views
    held: NDArray[np.bool_]
    before: Agreement
    after: Agreement
    adjusted: Adjusted | None
    freedom: Freedom
    tracks: int
    held_out: int
    focal_deviation: float | None = None
    hand_before: Agreement | None = None
    hand_after: Agreement | None = None


def refine_views(
    found: Correspondences, given: Views, views: Views, report: Reporter, known: Known, trusted: Trusted = NOBODYS
) -> Refined:
    """The refined cameras, not yet judged; `views` are the `given` ones with what is `known` of the lens.

    Tracks by hand take part and are not held out; where features are too few to judge by, they judge, too. Raises
    `Refusal` where the pictures do not allow any."""
    refined = _best(found, given, views, report, known, trusted)
    seen = trusted.in_frames(given.placed).table
    if not seen.tracks:
        return refined
    return replace(refined, hand_before=agreement(seen, given), hand_after=agreement(seen, refined.views))


def _best(
    found: Correspondences, given: Views, views: Views, report: Reporter, known: Known, trusted: Trusted
) -> Refined:
    train, held_out = hold_out(found.tracks)
    held_out = held_out.keep(views.placed[held_out.frame], least=3)
    if not _is_enough(train, held_out):
        held_out = trusted.in_frames(views.placed).table
        if held_out.tracks < FEWEST_BY_HAND:
            raise Refusal(
                f"too few tracks: only {_long(found.tracks)} details could be followed through three or more frames."
            )
    before = agreement(held_out, given)
    few = longest(train, COARSE_TRACKS, len(views))
    pan = _pan(few.and_also(trusted.table), held_out, views, before, known, lambda: report.progress("adjusting", 0, 2))
    if known.locked_off:
        if pan is None:
            raise Refusal("the camera is said to be locked off, but turns on the spot do not explain the pictures.")
        return pan
    bundle = None
    for step, candidate in enumerate(_bundles(train, few, held_out, views, found, before, known, trusted)):
        report.progress("adjusting", step, 2)
        if bundle is None or is_surely_better(candidate.after, bundle.after):
            bundle = candidate
    report.progress("adjusting", 2, 2)
    if pan is not None and (bundle is None or bundle.after.score > 0.9 * pan.after.score):
        return pan
    if bundle is None or bundle.adjusted is None:
        raise Refusal("the camera hardly moves, so nothing shows parallax, and a turn alone does not explain it.")
    if is_plane(bundle.adjusted):
        raise Refusal("what could be tracked lies on one plane or shows no parallax, which leaves the cameras open.")
    return replace(bundle, focal_deviation=focal_deviation(bundle.adjusted, bundle.freedom))


def _freedoms(known: Known) -> list[Freedom]:
    """What of the lens to let move, from the stiffest to the freest."""
    least = Freedom.POSES if known.holds_focal else Freedom.FOCAL
    return [least] if known.distortion is not None else [least, least | Freedom.DISTORTION]


def _long(table: Observations) -> int:
    """How many tracks have three observations or more."""
    return int((table.lengths() >= 3).sum())


def _is_enough(train: Observations, held_out: Observations) -> bool:
    return _long(train) >= FEWEST_TRACKS and held_out.tracks >= FEWEST_HELD_OUT


def _pan(
    few: Observations, held_out: Observations, views: Views, before: Agreement, known: Known, tell: Tell
) -> Refined | None:
    """The solution for a camera that only turns, or None where turns do not explain the tracks."""
    placed = few.keep(views.placed[few.frame])
    if not placed.tracks:
        return None
    turned, error = turn_only(placed, views, free_focal=not known.holds_focal, tell=tell)
    if np.median(error) > PAN_MEDIAN or np.percentile(error, 90) > PAN_MOST:
        return None
    after, freedom = agreement(held_out, turned), Freedom.FOCAL
    stiff = turn_only(placed, views, free_focal=False, tell=tell)[0]
    stiff_after = agreement(held_out, stiff)
    if known.holds_focal or not is_surely_better(after, stiff_after):  # small turns say nothing of the lens
        turned, after, freedom = stiff, stiff_after, Freedom.POSES
    held = views.placed & (np.bincount(placed.frame, minlength=len(views)) >= LEAST_IN_TURN)
    return Refined(turned, held, before, after, None, freedom, placed.tracks, held_out.tracks)


def _bundles(
    train: Observations,
    few: Observations,
    held_out: Observations,
    views: Views,
    found: Correspondences,
    before: Agreement,
    known: Known,
    trusted: Trusted,
) -> Iterator[Refined]:
    """Solutions by bundle adjustment from the stiffest lens to the freest."""
    many = longest(train, FINE_TRACKS, len(views))
    by_hand = len(trusted.names) >= FEWEST_BY_HAND
    freedoms = _freedoms(known)[: 1 if held_out.tracks < FEWEST_HELD_OUT else None]
    start = _start(few, held_out, views, found, freedoms[0], trusted)
    for freedom in freedoms:
        adjusted = adjust(many, start, freedom, FINE, trusted)
        for _ in range(PLACING_ROUNDS):
            settled = _without_strays(many, adjusted)
            if settled.held.sum() < 2 or settled.held.all():
                break
            adjusted = adjust(many, place_others(many, settled, trusted), freedom, FINE, trusted)
        if adjusted.held.sum() < 2 or (adjusted.used.tracks < FEWEST_TRACKS and not by_hand):
            continue
        adjusted = _on_survey(many, adjusted, freedom, held_out, trusted)
        after = agreement(held_out, adjusted.views)
        # one that was placed by points, and then refused, has no place
        found_views = replace(adjusted.views, placed=views.placed | adjusted.held)
        yield Refined(
            found_views, adjusted.held, before, after, adjusted, freedom, adjusted.used.tracks, held_out.tracks
        )


def _without_strays(many: Observations, adjusted: Adjusted) -> Adjusted:
    """The same, where frames that most of their own observations contradict have no place and are not held."""
    count = len(adjusted.views)
    there, fits = (np.bincount(table.frame, minlength=count) for table in (many, adjusted.used))
    stray = adjusted.held & (fits < LEAST_FITTING * there)
    views = replace(adjusted.views, placed=adjusted.views.placed & ~stray)
    return replace(adjusted, views=views, held=adjusted.held & ~stray)


def _on_survey(
    many: Observations, adjusted: Adjusted, freedom: Freedom, held_out: Observations, trusted: Trusted
) -> Adjusted:
    """Adjusted with the measured points held where they were measured, as far as they agree; the same as before where
    there are too few, or where the tracks that were put aside speak against it."""
    part = trusted.in_frames(adjusted.held)
    fit = fit_survey(part, adjusted.views)
    if fit is None or fit.gives != WORLD:
        return adjusted
    back = fit.metric_from_solve.inverse()
    fixed = np.where(fit.agrees[:, None], back.apply(part.surveyed), np.nan)
    holding = trusted.holding(dict(zip(part.names, fixed, strict=True)))
    measured = adjust(many, adjusted.views, freedom, FINE, holding)
    same = bool((measured.held >= adjusted.held).all())
    no_worse = is_no_worse(agreement(held_out, measured.views), agreement(held_out, adjusted.views))
    return measured if same and no_worse else adjusted


def _start(
    few: Observations,
    held_out: Observations,
    views: Views,
    found: Correspondences,
    freedom: Freedom,
    trusted: Trusted,
) -> Views:
    """Coarsely adjusted cameras: from turns that the matches agree on, or from the input where that ends better."""
    rotations = average_rotations(views.poses[:, :, :3], found.turns)
    centers = camera_center(views.poses)
    poses = np.dstack([rotations, -np.einsum("nij,nj->ni", rotations, centers)])
    best, score = views, np.inf
    for begin in (replace(views, poses=poses), views):
        coarse = adjust(few, begin, freedom, COARSE, trusted).views
        reached = agreement(held_out, coarse)
        if reached.score < score:
            best, score = coarse, reached.score
        if reached.median < 1.0:
            break
    return best


def is_plane(adjusted: Adjusted) -> bool:
    """Whether one plane explains all points within `FLAT` working pixels."""
    xyz, views, used = adjusted.structure.positions(), adjusted.views, adjusted.used
    normal, offset = _plane(xyz)
    flattened = xyz - np.outer(xyz @ normal - offset, normal)
    pose, focal = views.poses[used.frame], views.focal[used.frame]
    pixels = []
    for points in (xyz, flattened):
        seen = np.einsum("oij,oj->oi", pose[:, :, :3], points[used.track]) + pose[:, :, 3]
        pixels.append(focal[:, None] * seen[:, :2] / np.maximum(seen[:, 2:], 1e-9))
    # a shift that is the same in all frames is not parallax
    shift = pixels[0] - pixels[1]
    mean = np.stack([np.bincount(used.track, shift[:, axis]) / used.lengths() for axis in (0, 1)], axis=-1)
    return bool(np.percentile(np.linalg.norm(shift - mean[used.track], axis=1), 90) < FLAT)


def _plane(xyz: Array) -> tuple[Array, float]:
    """Unit normal (3,) and offset of the plane that most points lie on, by reweighted least squares."""
    weight = np.ones(len(xyz))
    normal, offset = np.zeros(3), 0.0
    for _ in range(20):
        middle = np.average(xyz, axis=0, weights=weight)
        normal = np.linalg.svd((xyz - middle) * np.sqrt(weight)[:, None], full_matrices=False)[2][2]
        offset = float(middle @ normal)
        distance = np.abs(xyz @ normal - offset)
        weight = 1 / (1 + (distance / (1e-12 + 2 * np.median(distance))) ** 2)
    return normal, offset
