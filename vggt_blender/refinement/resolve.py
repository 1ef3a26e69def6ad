"""A few frames of a finished reconstruction solved again, between the others, which stay exactly as they are."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engines.colmap.matching import exhaustive_pairs, sequential_pairs
from ..exchange.hand_tracks import HandTracks
from ..exchange.job import FrameRange, count_of
from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Reconstruction, load_reconstruction
from ..geometry.cameras import camera_center
from ..inference.frames import FrameSource
from .acceptance import MARGIN, Agreement, agreement
from .adjustment import Adjusted, Freedom, adjust
from .chosen_frames import ChosenFrames, frames_of
from .correspondences import find_correspondences
from .registration import LEAST_BY_HAND, place_others
from .report import Refusal, refuse_rolling_shutter
from .resolved import ResolveReport, write_resolved
from .solve import FINE, FINE_TRACKS
from .tracks import Observations, hold_out, longest
from .triangulation import triangulate
from .trusted import Trusted, trusted_tracks
from .views import ZOOM_SPREAD, Views, views_of

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

NEIGHBOURS = 6
"""So many frames before and after those that are solved again hold them, and then more at doubling distances."""

MOST_STILLS = 40
"""So many other pictures at most hold separate photos."""

MOST_AROUND = 24
"""A frame of a shot that is solved again is compared with so many on either side, and then at doubling distances."""

STRUCTURE = 3
"""Frames that stay are compared with so many next ones among them."""


@dataclass(frozen=True)
class Part:
    """The frames that take part: ``positions`` (M,) in the reconstruction, ``again`` (M,) where a frame is solved
    again, ``views`` with every frame's own lens."""

    positions: NDArray[np.intp]
    again: Mask
    views: Views


def resolve(
    folder: Path,
    source: FrameSource,
    chosen: FrameRange,
    report: Reporter,
    *,
    hand_tracks: HandTracks | None = None,
) -> ResolveReport:
    """Solve the `chosen` frames of the reconstruction in `folder`, made from `source`, again.

    They are compared with more frames than at first, placed by what the others see, and adjusted while every other pose
    and lens is held. A frame takes its new pose only where tracks that were not used agree clearly better (those by
    hand, where it has no others), or where it had none; where none does, no byte of the folder changes. Raises
    `JobError`.
    """
    began = time.monotonic()
    reconstruction = _as_seen(load_reconstruction(folder), source)
    again = _chosen(reconstruction, chosen)
    try:
        refuse_rolling_shutter(reconstruction.engine)
        part = _part(reconstruction, again)
        pictures = frames_of(source, [reconstruction.frames[k] for k in part.positions])
        trusted = trusted_tracks(hand_tracks or HandTracks(), pictures.frames, reconstruction.source.kind)
        solved, better, before, after = _solved(part, pictures, reconstruction, trusted, report)
    except Refusal as refusal:
        outcome = ResolveReport(str(chosen), False, str(refusal), time.monotonic() - began)
        report.warning(outcome.sentence())
        return outcome
    outcome = ResolveReport(
        frames=str(chosen),
        accepted=bool(better.any()),
        reason=_reason(part, better, after),
        seconds=time.monotonic() - began,
        better=tuple(reconstruction.frames[k].name for k in part.positions[better]),
        kept=tuple(reconstruction.frames[k].name for k in part.positions[part.again & ~better]),
        before_px=_median(before.frames[part.again]),
        after_px=_median(after.frames[part.again]),
    )
    if outcome.accepted:
        del reconstruction  # its maps would hold the files that are about to be replaced
        outcome = write_resolved(folder, part.positions, better, solved, pictures, outcome, began, report)
    (report.status if not outcome.kept else report.warning)(outcome.sentence())
    return outcome


def _as_seen(reconstruction: Reconstruction, source: FrameSource) -> Reconstruction:
    """The reconstruction in the pixels of `source`, as far as its pictures are there."""
    shots = {shot.name: shot for shot in source.frames}
    frames = (shots[frame.name].seen(frame) if frame.name in shots else frame for frame in reconstruction.frames)
    return replace(reconstruction, frames=tuple(frames))


def _chosen(reconstruction: Reconstruction, chosen: FrameRange) -> NDArray[np.intp]:
    """Positions of the chosen frames. Raises `JobError` where there is none."""
    kind, frames = reconstruction.source.kind, reconstruction.frames
    counts = np.array([count_of(kind, frame.index, frame.number) for frame in frames])
    order = np.argsort(counts, kind="stable")
    again = np.sort(order[chosen.choose(counts[order].tolist())])
    if not len(again):
        raise JobError("no_frames", f"The range {chosen} has none of the frames {counts.min()} to {counts.max()}.")
    return again


def _part(reconstruction: Reconstruction, again: NDArray[np.intp]) -> Part:
    """The frames that are solved again and those that hold them. Raises `Refusal` where nothing can."""
    frames = reconstruction.frames
    others = np.setdiff1d([k for k, frame in enumerate(frames) if frame.registered], again)
    if len(others) < 2:
        raise Refusal("fewer than two other frames are placed, which hold nothing.")
    centers = camera_center(np.stack([pose.camera_from_world for k in others if (pose := frames[k].pose) is not None]))
    if np.ptp(centers, axis=0).max() < 1e-9:
        raise Refusal("the camera only turns, so no point has a place: solve the whole shot again.")
    if reconstruction.source.kind == "images":
        near = others[np.unique(np.linspace(0, len(others) - 1, MOST_STILLS).astype(int))]
    else:
        near = _around(others, again)
    positions = np.union1d(again, near)
    is_again = np.isin(positions, again)
    views = views_of([frames[k] for k in positions])
    return Part(positions, is_again, _with_neighbours_lens(views, is_again))


def _around(others: NDArray[np.intp], again: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of the `others` the next ones before and after the frames `again`, and some at doubling distances."""
    steps = [*range(NEIGHBOURS), *(NEIGHBOURS * 2**power for power in range(1, 4))]
    chosen = set()
    for gap in np.split(again, np.flatnonzero(np.diff(again) > 1) + 1):
        before, after = others[others < gap[0]][::-1], others[others > gap[-1]]
        chosen |= {int(side[step]) for side in (before, after) for step in steps if step < len(side)}
    return np.array(sorted(chosen), np.intp)


def _with_neighbours_lens(views: Views, again: Mask) -> Views:
    """The frames that are solved again with the lens of those that stay: between two, as one zooms to the other."""
    lenses, stay = list(views.lenses), np.flatnonzero(~again)
    for k in np.flatnonzero(again):
        nearest = stay[np.abs(stay - k).argmin()]
        same = stay[(views.sizes[stay] == views.sizes[k]).all(axis=1)]
        if len(same):
            focal = [np.interp(k, same, [getattr(views.lenses[j], axis) for j in same]) for axis in ("fx", "fy")]
            lenses[k] = replace(lenses[same[np.abs(same - k).argmin()]], fx=float(focal[0]), fy=float(focal[1]))
        elif not views.placed[k]:
            lenses[k] = replace(lenses[nearest], cx=views.sizes[k, 0] / 2, cy=views.sizes[k, 1] / 2)
    return replace(views, lenses=tuple(lenses))


def _solved(
    part: Part, pictures: ChosenFrames, reconstruction: Reconstruction, trusted: Trusted, report: Reporter
) -> tuple[Adjusted, Mask, Agreement, Agreement]:
    """The cameras of all taking part, with those of `part.again` that are better, and how the tracks agreed."""
    ordered = reconstruction.source.kind != "images"
    found = find_correspondences(pictures, _pairs(part, ordered), part.views, reconstruction.folder, report)
    train, held_out = hold_out(found.tracks)
    old = views_of([reconstruction.frames[k] for k in part.positions])
    report.progress("adjusting", 0, 1)
    views = _placed_and_adjusted(train, part, trusted)
    before, after = (_judged(held_out, trusted, cameras) for cameras in (old, views))
    better = part.again & views.placed & _clearly_better(before, after, old.placed)
    mixed = _mixed(old, views, better)
    report.progress("adjusting", 1, 1)
    table = train.keep(mixed.placed[train.frame])
    structure = triangulate(table, mixed, scale=0.25)
    good = (structure.error < FINE[-1]) & (structure.angle > 0)[table.track]
    used = table.keep(good)
    return Adjusted(mixed, used, triangulate(used, mixed, scale=0.25), mixed.placed), better, before, after


def _judged(held_out: Observations, trusted: Trusted, views: Views) -> Agreement:
    """How tracks that were put aside agree; where a frame has too few of them, those that were placed there by hand."""
    found = agreement(held_out.keep(views.placed[held_out.frame], least=3), views)
    part = trusted.in_frames(views.placed)
    error, frame = part.structure(views).error / views.scales[part.table.frame], part.table.frame
    frames = found.frames.copy()
    for k in np.flatnonzero(np.isnan(frames) & (np.bincount(frame, minlength=len(views)) >= LEAST_BY_HAND)):
        frames[k] = np.median(error[frame == k])
    return replace(found, frames=frames)


def _pairs(part: Part, ordered: bool) -> list[tuple[int, int]]:
    """Every frame that is solved again with the others about it, and those that stay with their next ones."""
    count, again = len(part.positions), set(np.flatnonzero(part.again).tolist())
    every = sequential_pairs(count, MOST_AROUND) if ordered else exhaustive_pairs(count)
    pairs = {pair for pair in every if not again.isdisjoint(pair)}
    stay = np.flatnonzero(~part.again).tolist()
    near = sequential_pairs(len(stay), STRUCTURE if ordered else len(stay) - 1)
    return sorted(pairs | {(stay[first], stay[second]) for first, second in near})


def _placed_and_adjusted(train: Observations, part: Part, trusted: Trusted) -> Views:
    """Frame after frame placed by what has a place, from the edges inwards, and adjusted to what holds."""
    many = longest(train, FINE_TRACKS, len(part.views))
    stay = ~part.again
    views, done, failed = replace(part.views, placed=stay), stay.copy(), np.zeros(len(stay), np.bool_)
    focals = views.focal[stay]
    freedom = Freedom.FOCAL if focals.std() > ZOOM_SPREAD * focals.mean() else Freedom.POSES
    seen = many.select(np.bincount(many.track, part.again[many.frame], minlength=many.tracks) > 0)
    nothing = triangulate(many.select(np.zeros(many.tracks, np.bool_)), views, scale=1.0)
    while True:
        placed = place_others(many, Adjusted(views, many, nothing, done), trusted)
        new = placed.placed & ~done & ~failed
        if not new.any():
            return views
        adjusted = adjust(seen, replace(placed, placed=done | new), freedom, FINE, trusted, frozen=stay)
        failed |= new & ~adjusted.held
        done |= new & adjusted.held
        views = replace(adjusted.views, placed=done)


def _clearly_better(before: Agreement, after: Agreement, placed: Mask) -> Mask:
    """(M,) where a frame's own tracks that were not used say so; one that was not `placed` takes what it can get."""
    with np.errstate(invalid="ignore"):
        gains = (after.frames < (1 - MARGIN) * before.frames) & (after.frames < before.frames - before.least_gain)
    return np.asarray(gains | ~placed)


def _mixed(old: Views, new: Views, better: Mask) -> Views:
    poses = np.where(better[:, None, None], new.poses, old.poses)
    lenses = tuple(new.lenses[k] if better[k] else old.lenses[k] for k in range(len(old)))
    return replace(old, poses=poses, lenses=lenses, placed=old.placed | better)


def _median(values: Array) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _reason(part: Part, better: Mask, after: Agreement) -> str:
    count, of = int(better.sum()), int(part.again.sum())
    if not count and not np.isfinite(after.frames[part.again]).any():
        return "too little in them can be followed to other frames; tracks placed by hand would do."
    if not count:
        return "tracks that were not used do not agree clearly better with new cameras."
    return f"{count} of {of} frames solved again."
