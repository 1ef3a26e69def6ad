"""A finished result and its tracks by hand: how they agree, which of them cannot be right, and the survey's world."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exchange.hand_tracks import ENTRY, WORLD, HandTracks
from ..exchange.messages import Reporter
from ..exchange.reconstruction import Frame, load_reconstruction
from ..geometry.alignment import Similarity
from ..geometry.blender_axes import points_to_blender
from ..inference.frames import FrameSource
from .survey import SurveyFit, fit_survey
from .triangulation import Structure
from .trusted import Trusted, distances, trusted_tracks
from .views import Views, as_seen, views_of
from .world import METERS, move_world

Array = NDArray[np.float64]

WRONG_SHARE, LEAST_WRONG_PX = 0.002, 2.0
"""Of the picture's longer side, and pixels: a track is not believed from the larger of the two on ..."""

WRONG_TIMES = 5.0
"""... and from so many times the usual distance of the tracks by hand."""

NAMED = 5


@dataclass(frozen=True)
class _Agreement:
    """The tracks that placed frames see, where they are, and the distances of their observations in source pixels: the
    ``usual`` one, and the ``limit`` from which on one is not believed."""

    part: Trusted
    places: Structure
    error: Array
    limit: float
    usual: float

    def of(self, track: int) -> tuple[Array, NDArray[np.intp]]:
        """Distances (M,) and frames (M,) of one track."""
        mine = self.part.table.track == track
        return self.error[mine], self.part.table.frame[mine]


def settle(folder: Path, source: FrameSource, hand_tracks: HandTracks, report: Reporter) -> bool:
    """Note in the reconstruction in `folder`, made from `source`, how it agrees with `hand_tracks`, and bring it to the
    survey's world where measured points say where that is; two of them, or points on a line, give its scale alone.

    Tracks and points that cannot be right are named. Returns whether the result is in metres now.
    """
    trusted = trusted_tracks(hand_tracks, source.frames, source.source.kind)
    frames = as_seen(load_reconstruction(folder), source).frames
    views = views_of(frames)
    found = _agreement(trusted, views, frames)
    fit = fit_survey(found.part, views)
    _warn_of_wrong_tracks(found, frames, report)
    _tell_of_survey(found.part, fit, trusted, report)
    move = Similarity(1.0, np.eye(3), np.zeros(3)) if fit is None else fit.metric_from_solve
    move_world(folder, move, None if fit is None else METERS, {ENTRY: _entry(found, fit, views)})
    return fit is not None


def _agreement(trusted: Trusted, views: Views, frames: tuple[Frame, ...]) -> _Agreement:
    part = trusted.in_frames(views.placed)
    places = part.structure(views)
    error = places.error / views.scales[part.table.frame]
    side = max(max(frame.width, frame.height) for frame in frames)
    least = max(WRONG_SHARE * side, LEAST_WRONG_PX)
    usual = float(np.median(error)) if len(error) else 0.0
    return _Agreement(part, places, error, least if usual > least else max(least, WRONG_TIMES * usual), usual)


def _warn_of_wrong_tracks(found: _Agreement, frames: tuple[Frame, ...], report: Reporter) -> None:
    if found.usual > found.limit:
        report.warning(f"The hand tracks as a whole are {found.usual:.1f} px off: check how their frames are counted.")
        return
    wrong = []
    for track, name in enumerate(found.part.names):
        error, seen = found.of(track)
        if error.max() > found.limit:
            wrong.append(f"'{name}' is {error.max():.1f} px off in {frames[seen[error.argmax()]].name}")
    if wrong:
        more = f", and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        report.warning(f"Hand tracks that do not fit the solve: {', '.join(wrong[:NAMED])}{more}.")


def _tell_of_survey(part: Trusted, fit: SurveyFit | None, trusted: Trusted, report: Reporter) -> None:
    measured = int(np.isfinite(trusted.surveyed[:, 0]).sum())
    if fit is None:
        if measured >= 2:
            report.warning("The measured points say nothing: fewer than two of them could be placed by the solve.")
        return
    if fit.gives != WORLD:
        report.status("The scene is in metres. Three measured points that are not in a line would give its place, too.")
        return
    good = fit.distance[fit.agrees]
    report.status(f"The scene is where the survey says: {len(good)} measured points within {1000 * good.max():.3g} mm.")
    if good.max() > fit.tolerance:
        worst = ", ".join(f"'{part.names[k]}' {fit.distance[k]:.3g} m" for k in np.flatnonzero(fit.agrees)[:NAMED])
        report.warning(f"The measured points contradict each other, check their names and places: {worst}.")
    wrong = [
        f"'{part.names[track]}' is {fit.distance[track]:.3g} m from where the others put it"
        for track in np.flatnonzero(np.isfinite(fit.distance) & ~fit.agrees)
    ]
    if wrong:
        report.warning(f"Measured points left out, check their names and places: {', '.join(wrong[:NAMED])}.")


def _entry(found: _Agreement, fit: SurveyFit | None, views: Views) -> dict[str, Any]:
    """What the document says of the tracks: pixels of the source, metres."""
    seen_off = _measured_px(found, fit, views)
    tracks = []
    for track, name in enumerate(found.part.names):
        error, _ = found.of(track)
        measured = bool(np.isfinite(found.part.surveyed[track, 0]))
        entry: dict[str, Any] = {
            "name": name,
            "frames": len(error),
            "residual_px": float(np.median(error)),
            "worst_px": float(error.max()),
            "fits": bool(error.max() <= found.limit) and (not measured or fit is None or bool(fit.agrees[track])),
        }
        if measured:
            entry["xyz"] = [float(value) for value in points_to_blender(found.part.surveyed[track])]
            entry["distance_m"] = None if fit is None else _known(fit.distance[track])
            entry["survey_px"] = _known(np.median(seen_off[found.part.table.track == track]))
        tracks.append(entry)
    return {"gives": None if fit is None else fit.gives, "tracks": tracks}


def _measured_px(found: _Agreement, fit: SurveyFit | None, views: Views) -> Array:
    """(O,) source pixels between the observations and where the measured points appear; NaN without a world."""
    table = found.part.table
    if fit is None or fit.gives != WORLD:
        return np.full(len(table.track), np.nan)
    places = fit.metric_from_solve.inverse().apply(found.part.surveyed)
    measured = np.isfinite(places[:, 0])[table.track]
    points = np.column_stack([np.nan_to_num(places), np.ones(len(places))])
    return np.where(measured, distances(table, views, points) / views.scales[table.frame], np.nan)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
