"""Refine a finished reconstruction in its folder, or leave it exactly as it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..exchange.hand_tracks import HandTracks
from ..exchange.known import Known
from ..exchange.messages import Reporter
from ..exchange.reconstruction import (
    OBSERVATIONS,
    RESIDUAL,
    Frame,
    Points,
    Pose,
    Reconstruction,
    frame_quality,
    load_reconstruction,
)
from ..geometry.alignment import Similarity, align_cameras
from ..geometry.cameras import camera_center, homogeneous, invert_pose
from ..geometry.rotations import rotation_vector
from ..inference.frames import FrameSource
from ..inference.square_pixels import with_square_pixels
from .acceptance import is_better, is_no_worse, is_surely_better
from .adjustment import Adjusted, Freedom
from .correspondences import Found, find_correspondences
from .depth_scale import depth_factors
from .jitter import jitter
from .pairs import overlapping_pairs
from .report import RefinementReport, Refusal, refuse_rolling_shutter
from .rewriting import rewriting
from .solve import Refined, refine_views
from .trusted import Trusted, trusted_tracks
from .views import NO_DISTORTION, NOTHING, Views, as_seen, pose_of, sharing_lenses, times_of, views_of

Array = NDArray[np.float64]

FAR_OFF = 4.0
"""Frames whose cameras moved or turned by more than this many times the usual do not say where the world lies."""

TRIALS = 100

WEAK_LENS = 0.002
"""A focal length that the observations leave open by this part (a standard deviation) is called weakly determined."""

FEWEST_TO_ZOOM = 5
"""With fewer frames, focal lengths of their own explain anything."""

EXPLAINED = 0.25
"""Working pixels: where half of what was held out is nearer than this to cameras with one lens, whose focal length is
well determined, too, nobody asks for a zoom. (A zoom can pass for a lens that is far too long, but hardly tells how
long.)"""

ZOOM_WORTH = 0.3
"""By what part focal lengths of their own must lower the held-out error: of eleven rendered shots with one lens they
lower one's by an eighth and the others' by next to nothing, of a zoom by two thirds."""

ZOOM_NOTES = ("zooms", "lens_zooms")
"""What the engines call it in their settings."""

LENS_NAMES = {
    Freedom.POSES: "fixed",
    Freedom.FOCAL: "focal",
    Freedom.DISTORTION: "distortion",
    Freedom.FOCAL | Freedom.DISTORTION: "focal and distortion",
}


@dataclass(frozen=True)
class _Result:
    """What goes into the folder: ``frames``, one factor a depth map (N,), the sparse structure or None, and the median
    ``residual_px`` where there is a new one."""

    frames: list[Frame]
    factors: Array
    points: Points | None
    residual_px: float | None


def refine(
    folder: Path | str,
    source: FrameSource,
    report: Reporter,
    *,
    known: Known | None = None,
    hand_tracks: HandTracks | None = None,
    found: Found | None = None,
) -> RefinementReport:
    """Refine the reconstruction in `folder`, made from `source`, with features of its pictures.

    The better cameras replace the old ones, depth maps and points follow, only where tracks that were not used agree
    clearly better; the world stays where it is. Otherwise no byte of the folder changes. What is
    `known` of the lens is held, and a camera known to be locked off only turns. Where `hand_tracks` are given they take
    part as what is certain, and better agreement with them counts where the other tracks do not speak against it. What
    was `found` in the same pictures is not looked for again, and what is found stays there.
    Raises `JobError` where the folder cannot be read or written.
    """
    began = time.monotonic()
    known = known or Known()
    source, aspect = with_square_pixels(source, known.pixel_aspect)
    known = replace(known, pixel_aspect=aspect)
    trusted = trusted_tracks(hand_tracks or HandTracks(), source.frames, source.source.kind)
    reconstruction = as_seen(load_reconstruction(folder), source)
    try:
        refined = _refined(reconstruction, source, report, known, trusted, found or Found())
    except Refusal as refusal:
        outcome = RefinementReport(False, str(refusal), time.monotonic() - began)
        report.warning(outcome.sentence())
        return outcome
    outcome = _outcome(reconstruction, refined, known)
    if outcome.accepted:
        result = _result(reconstruction, refined, source)
        outcome = replace(outcome, seconds=time.monotonic() - began)
        del reconstruction  # its maps would hold the files that are about to be replaced
        _write(Path(folder), result, outcome)
    outcome = replace(outcome, seconds=time.monotonic() - began)
    report.status(outcome.sentence())
    deviation = outcome.focal_deviation
    if deviation is not None and deviation > WEAK_LENS:
        report.warning(
            f"The pictures hardly tell the focal length (to {100 * deviation:.1f} % at best): give it if you know it."
        )
    if outcome.accepted and outcome.registered:
        report.status(f"Placed anew: {', '.join(outcome.registered)}.")
    if outcome.accepted and outcome.carried:
        report.warning(
            f"Too little to track for refinement, moved along with the others: {', '.join(outcome.carried)}."
        )
    return outcome


def _refined(
    reconstruction: Reconstruction,
    source: FrameSource,
    report: Reporter,
    known: Known,
    trusted: Trusted,
    found: Found,
) -> Refined:
    refuse_rolling_shutter(reconstruction.engine)
    if sum(frame.registered for frame in reconstruction.frames) < 2:
        raise Refusal("fewer than two frames are registered.")
    given, apart = (views_of(reconstruction.frames, certain) for certain in (NOTHING, known))
    may_share = known.holds_focal or not (known.zooms or _is_said_to_zoom(reconstruction.engine))
    views = sharing_lenses(apart) if may_share else apart
    if found.correspondences is None:
        pairs = overlapping_pairs(reconstruction, views)
        found.correspondences = find_correspondences(source, pairs, views, reconstruction.folder, report)
    refined = refine_views(found.correspondences, given, views, report, known, trusted)
    if _asks_for_zoom(refined, views, known):
        try:
            freed = refine_views(found.correspondences, given, apart, report, known, trusted)
        except Refusal:
            freed = refined
        if _zooms(freed, refined):
            report.status("The lens zooms: every frame has a focal length of its own.")
            refined = freed
    return _in_world(refined, views)


def _asks_for_zoom(refined: Refined, views: Views, known: Known) -> bool:
    """Whether cameras with shared lenses leave something open that a zoom might explain."""
    shared = len(np.unique(views.groups)) < len(views)
    if known.holds_focal or not shared or refined.adjusted is None or refined.held.sum() < FEWEST_TO_ZOOM:
        return False
    weak = refined.focal_deviation is not None and refined.focal_deviation > WEAK_LENS / 2
    return bool(weak or refined.after.median * np.median(views.scales) > EXPLAINED)


def _zooms(freed: Refined, shared: Refined) -> bool:
    """Whether focal lengths of their own agree so much better that the lens must have zoomed."""
    enough = freed.after.score < (1 - ZOOM_WORTH) * shared.after.score
    return enough and is_surely_better(freed.after, shared.after)


def _is_said_to_zoom(engine: Mapping[str, Any]) -> bool:
    """Whether the engine noted that it found a zoom by itself."""
    settings = engine.get("settings")
    return isinstance(settings, Mapping) and any(settings.get(name) is True for name in ZOOM_NOTES)


def _in_world(refined: Refined, before: Views) -> Refined:
    """Moved as a whole onto the input, and frames that took no part moved along with the nearest that did."""
    part = refined.held & before.placed
    move = Similarity(1.0, np.eye(3), np.zeros(3))  # a camera that only turns was aligned when it was solved
    if refined.adjusted is not None:
        move = _align(refined.views.poses[part], before.poses[part])
    poses = np.stack([move.apply_to_pose(pose) for pose in refined.views.poses])
    known = np.flatnonzero(refined.held)
    for k in np.flatnonzero(before.placed & ~refined.held):
        near = known[np.abs(known - k).argmin()]
        shift = homogeneous(invert_pose(before.poses[near])) @ homogeneous(poses[near])
        poses[k] = (homogeneous(before.poses[k]) @ shift)[:3]
    adjusted = refined.adjusted
    if adjusted is not None:
        points = adjusted.structure.points @ move.matrix().T
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        adjusted = replace(adjusted, structure=replace(adjusted.structure, points=points))
    return replace(refined, views=replace(refined.views, poses=poses), adjusted=adjusted)


def _align(source: Array, target: Array) -> Similarity:
    """The similarity between poses (N, 3, 4) that most cameras agree on: a few badly wrong ones do not move the world.

    Of alignments of random halves the one with the least median distance, then of all that come close to it.
    """
    rng = np.random.default_rng(0)
    centers, goals = camera_center(source), camera_center(target)

    def away(move: Similarity) -> Array:
        return np.asarray(np.linalg.norm(move.apply(centers) - goals, axis=1))

    best = align_cameras(source, target)
    for _ in range(TRIALS if len(source) >= 6 else 0):
        half = rng.permutation(len(source))[: len(source) // 2]
        move = align_cameras(source[half], target[half])
        if np.median(away(move)) < np.median(away(best)):
            best = move
    between = np.swapaxes(target[:, :, :3], 1, 2) @ source[:, :, :3] @ best.rotation.T
    turned = np.linalg.norm(rotation_vector(between), axis=1)
    distance = away(best)
    close = (distance <= FAR_OFF * np.median(distance)) & (turned <= FAR_OFF * np.median(turned))
    return align_cameras(source[close], target[close]) if 2 * close.sum() >= len(source) else best


def _outcome(reconstruction: Reconstruction, refined: Refined, known: Known) -> RefinementReport:
    frames = reconstruction.frames
    # What took no part has not been solved, and is said to be moved along: it does not speak against the others.
    after = replace(refined.after, frames=np.where(refined.held, refined.after.frames, np.nan))
    accepted = is_better(after, refined.before)
    before = views_of(frames)
    views, placed = refined.views, before.placed
    if not accepted and (_contradicts(frames, known) or _pleases_by_hand(refined, placed)):
        accepted = is_no_worse(after, refined.before)
    carried = tuple(frame.name for k, frame in enumerate(frames) if placed[k] and not refined.held[k])
    ordered = reconstruction.source.kind != "images"
    kind = "a camera that only turns" if refined.adjusted is None else "bundle adjustment"
    return RefinementReport(
        accepted=accepted,
        reason=f"Refined by {kind}." if accepted else "tracks that were not used do not agree clearly better.",
        seconds=0.0,
        before_px=refined.before.median,
        after_px=refined.after.median,
        tracks=refined.tracks,
        held_out=refined.held_out,
        model="rotation" if refined.adjusted is None else "bundle",
        lens=LENS_NAMES[refined.freedom],
        focal_change=float(np.median(views.focal[placed] / before.focal[placed]) - 1),
        focal_deviation=refined.focal_deviation,
        carried=carried,
        registered=tuple(frame.name for k, frame in enumerate(frames) if refined.held[k] and not placed[k]),
        jitter_before=jitter(before.poses, placed, times_of(frames)) if ordered else None,
        jitter_after=jitter(views.poses, placed, times_of(frames)) if ordered else None,
        hand_before_px=None if refined.hand_before is None else refined.hand_before.median,
        hand_after_px=None if refined.hand_after is None else refined.hand_after.median,
    )


def _pleases_by_hand(refined: Refined, placed: NDArray[np.bool_]) -> bool:
    """Whether the tracks by hand agree clearly better, or placed a frame that had no place."""
    if refined.hand_before is None or refined.hand_after is None:
        return False
    return is_better(refined.hand_after, refined.hand_before) or bool((refined.held & ~placed).any())


def _contradicts(frames: Sequence[Frame], known: Known) -> bool:
    """Whether the frames have another lens than the one that is known."""
    pairs = zip(views_of(frames).lenses, views_of(frames, known).lenses, strict=True)
    return any(
        not np.allclose([given.fx, given.fy], [certain.fx, certain.fy], rtol=1e-6)
        or (given.distortion or NO_DISTORTION) != (certain.distortion or NO_DISTORTION)
        for given, certain in pairs
    )


def _result(reconstruction: Reconstruction, refined: Refined, source: FrameSource) -> _Result:
    views, frames = refined.views, reconstruction.frames
    poses: list[Pose | None] = [pose_of(views, k) if views.placed[k] else None for k in range(len(frames))]
    adjusted, factors = refined.adjusted, np.ones(len(frames))
    residuals = _residuals(adjusted, views) if adjusted is not None else [np.zeros(0)] * len(frames)
    new = [
        shot.stored(replace(frame, pose=pose, extra=_quality(frame.extra, mine)))
        for shot, frame, pose, mine in zip(source.frames, frames, poses, residuals, strict=True)
    ]
    if adjusted is None:
        return _Result(new, factors, reconstruction.points, None)
    if reconstruction.depth is not None:
        factors = depth_factors(adjusted, views, frames, reconstruction.depth)
    return _Result(new, factors, _points(adjusted, views, source), float(np.median(np.concatenate(residuals))))


def _residuals(adjusted: Adjusted, views: Views) -> list[Array]:
    """Per frame the distances in source pixels between what it sees and where the structure projects."""
    table, error = adjusted.used, adjusted.structure.error / views.scales[adjusted.used.frame]
    return [error[table.frame == k] for k in range(len(views))]


def _quality(extra: Mapping[str, Any], residuals: Array) -> dict[str, Any]:
    """`extra` with a frame's figures of the new solve in place of those of the old one."""
    kept = {name: value for name, value in extra.items() if name not in (RESIDUAL, OBSERVATIONS)}
    return kept | frame_quality(residuals)


def _points(adjusted: Adjusted, views: Views, source: FrameSource) -> Points:
    """The structure in the format of ``points.npz``, coloured from the pictures."""
    used, structure = adjusted.used, adjusted.structure
    count = used.lengths()
    colors = np.zeros((used.tracks, 3))
    for k, picture in enumerate(source):
        seen = used.frame == k
        place = (used.xy[seen] / views.scales[k]).astype(int)
        height, width = picture.shape[:2]
        smooth = cv2.blur(picture, (3, 3))
        np.add.at(colors, used.track[seen], smooth[place[:, 1].clip(0, height - 1), place[:, 0].clip(0, width - 1)])
    error = np.bincount(used.track, structure.error / views.scales[used.frame]) / count
    return Points(
        structure.positions().astype(np.float32),
        np.rint(colors / count[:, None]).astype(np.uint8),
        error.astype(np.float32),
        count.astype(np.int32),
    )


def _write(folder: Path, result: _Result, outcome: RefinementReport) -> None:
    with rewriting(folder, result.factors) as draft:
        draft.frames, draft.points = result.frames, result.points
        draft.engine.pop(RESIDUAL, None)
        if result.residual_px is not None:
            draft.engine[RESIDUAL] = result.residual_px
        draft.extra["refinement"] = outcome.to_dict()
