"""Tracks that a person placed: they are believed, weigh more than features, and may have a place that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..engines.colmap.features import working_scale
from ..exchange.hand_tracks import HandTrack, HandTracks
from ..exchange.job import count_of
from ..exchange.messages import JobError
from ..geometry.blender_axes import points_from_blender
from ..inference.frames import SourceFrame
from .tracks import Observations
from .triangulation import LOST, Structure, triangulate
from .views import Views

Array = NDArray[np.float64]

WEIGHT = 10
"""So many features does one observation by hand weigh in an adjustment."""

WORTH = 3
"""So many features does it stand for where a frame's observations are counted: four place a frame."""

WIDEST = 64.0
"""Working pixels from where its track lies beyond which an observation by hand is a slip and does not count."""

FARTHEST = 0.75
"""From its middle, in pictures: a point may be placed a little beyond the edge, where it is known to go on."""

ROBUST = 4.0
"""Working pixels, the scale at which one slip among a track's observations stops pulling at its place."""


@dataclass(frozen=True)
class Trusted:
    """Tracks by hand over the positions of a source: ``names`` (T,), ``table`` in working pixels, and ``surveyed``
    (T, 3), measured places in metres and OpenCV's axes, NaN where there are none.

    ``fixed`` (T, 3) are places in the world of the cameras that an adjustment holds, NaN where it does not.
    """

    names: tuple[str, ...]
    table: Observations
    surveyed: Array
    fixed: Array

    @property
    def is_held(self) -> NDArray[np.bool_]:
        """(T,) whether the place is given."""
        return np.isfinite(self.fixed[:, 0])

    def holding(self, places: Mapping[str, Array]) -> Trusted:
        """The same with those tracks held at `places` (3,) that have a name there; NaN holds none."""
        nowhere = np.full(3, np.nan)
        return replace(self, fixed=np.array([places.get(name, nowhere) for name in self.names]).reshape(-1, 3))

    def counts(self, frames: int) -> NDArray[np.intp]:
        """(N,) how many features each frame's observations stand for."""
        return WORTH * np.bincount(self.table.frame, minlength=frames)

    def seen_by(self, views: Views, held: NDArray[np.bool_]) -> tuple[Trusted, Structure]:
        """What the frames `held` (N,) see of them, slips left out, and where `views` put it."""
        part = self.in_frames(held)
        slip = part.structure(views).error > WIDEST
        part = part._only(~slip)
        return part, part.structure(views)

    def in_frames(self, chosen: NDArray[np.bool_]) -> Trusted:
        """What the `chosen` (N,) frames see of them."""
        return self._only(chosen[self.table.frame])

    def structure(self, views: Views) -> Structure:
        """Where `views` put the tracks; a place that is held stays."""
        found = triangulate(self.table, views, scale=ROBUST)
        if not self.is_held.any():
            return found
        known = np.column_stack([self.fixed, np.ones(len(self.fixed))])
        known /= np.linalg.norm(known, axis=1, keepdims=True)
        points = np.where(self.is_held[:, None], known, found.points)
        return Structure(points, distances(self.table, views, points), found.angle)

    def _only(self, use: NDArray[np.bool_]) -> Trusted:
        """The observations `use` (O,), of tracks that keep two of them."""
        counts = np.bincount(self.table.track[use], minlength=len(self.names))
        kept = np.flatnonzero(counts >= 2)
        names = tuple(self.names[track] for track in kept)
        return Trusted(names, self.table.keep(use), self.surveyed[kept], self.fixed[kept])


NOBODYS = Trusted(
    (), Observations(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros((0, 2))), np.zeros((0, 3)), np.zeros((0, 3))
)
"""No tracks by hand."""


def distances(table: Observations, views: Views, points: Array) -> Array:
    """(O,) working pixels between observations and their homogeneous `points` (T, 4)."""
    return np.minimum(np.linalg.norm(offsets(table, views, points), axis=1), LOST)


def offsets(table: Observations, views: Views, points: Array) -> Array:
    """(O, 2) from the observations to where their homogeneous `points` (T, 4) appear; `LOST` behind a camera."""
    seen = np.einsum("oij,oj->oi", views.poses[table.frame], points[table.track])
    ahead = seen[:, 2] > 1e-12
    flat = seen[:, :2] / np.where(ahead, seen[:, 2], 1.0)[:, None]
    offset = views.focal[table.frame, None] * (flat - views.rays(table.frame, table.xy))
    return np.where((ahead & np.isfinite(offset).all(axis=1))[:, None], offset, LOST)


def trusted_tracks(hand: HandTracks, frames: Sequence[SourceFrame], kind: str) -> Trusted:
    """`hand` over the positions of `frames`, of a source of that `kind`; what other frames show is left out.

    A track counts that is seen in two of the frames. Raises `JobError` for a place far outside its picture.
    """
    if not hand:
        return NOBODYS
    position_of: dict[int | str, int] = {}
    for position, frame in enumerate(frames):
        position_of[frame.name] = position
        position_of[count_of(kind, frame.index, frame.number)] = position
    rows: list[tuple[int, int, float, float]] = []
    kept: list[HandTrack] = []
    for track in hand.tracks:
        seen = [(position_of[frame], x, y) for frame, x, y in track.observations if frame in position_of]
        if len(seen) < 2:
            continue
        for position, x, y in sorted(seen):
            frame = frames[position]
            _check_inside(track.name, frame, x, y)
            place = frame.seen_xy(np.array([x, y])) * working_scale(frame.width, frame.height)
            rows.append((len(kept), position, *place))
        kept.append(track)
    if not kept:
        return NOBODYS
    values = np.array(rows)
    table = Observations(values[:, 0].astype(np.intp), values[:, 1].astype(np.intp), values[:, 2:])
    surveyed = np.array([(np.nan,) * 3 if track.xyz is None else track.xyz for track in kept])
    nowhere = np.full((len(kept), 3), np.nan)
    return Trusted(tuple(track.name for track in kept), table, points_from_blender(surveyed), nowhere)


def _check_inside(name: str, frame: SourceFrame, x: float, y: float) -> None:
    width, height = frame.stored_size
    if not (abs(x / width - 0.5) <= FARTHEST and abs(y / height - 0.5) <= FARTHEST):
        raise JobError(
            "usage",
            f"Hand track '{name}' is at ({x:g}, {y:g}) in {frame.name}, far outside its {width} x {height} "
            "pixels: x and y are pixels from the top left.",
        )
