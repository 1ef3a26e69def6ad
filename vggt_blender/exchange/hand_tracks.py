"""Tracks that a person placed, and measured points of the set: what a solve has to agree with.

This module may import the standard library only. The file is JSON::

    {"format": "vggt-hand-tracks", "version": 1, "tracks": [
        {"name": "door", "xyz": [1.204, 3.377, 2.1], "observations": [[1001, 512.25, 300.5], [1002, 514.0, 301.25]]}]}

A frame is its number as ``--frames`` counts (a sequence: the plate's own; otherwise from 0) or its file's name; x and y
are pixels of the source, the centre of the top-left one at (0.5, 0.5). ``xyz``, where the point was measured, is in
metres, right-handed, z up, about any origin.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .documents import read_json
from .messages import JobError
from .paths import user_path

FORMAT, VERSION = "vggt-hand-tracks", 1
LARGEST_FILE = 64 * 2**20
LONGEST_NAME = 100

ENTRY = "hand_tracks"
"""The entry of a reconstruction's document that says how the result agrees with them."""

WORLD, SCALE = "survey", "scale"
"""What measured points gave: the whole world, or its size alone."""

Observation = tuple[int | str, float, float]


@dataclass(frozen=True)
class HandTrack:
    """``observations`` are (frame, x, y); ``xyz`` is where the point was measured, or None."""

    name: str
    observations: tuple[Observation, ...]
    xyz: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class HandTracks:
    """All of a shot's; false where there are none."""

    tracks: tuple[HandTrack, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tracks)

    @property
    def measured(self) -> int:
        """How many have a measured place."""
        return sum(track.xyz is not None for track in self.tracks)

    def document(self) -> dict[str, Any]:
        """Plain JSON values; `from_document` reads them back."""
        tracks = []
        for track in self.tracks:
            entry: dict[str, Any] = {"name": track.name, "observations": [list(seen) for seen in track.observations]}
            tracks.append(entry if track.xyz is None else {**entry, "xyz": list(track.xyz)})
        return {"format": FORMAT, "version": VERSION, "tracks": tracks}

    @classmethod
    def from_document(cls, document: Any) -> HandTracks:
        """Read what `document` wrote. Raises `JobError` for anything that is not exactly that."""
        if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("version") != VERSION:
            raise _unusable(f'they begin with {{"format": "{FORMAT}", "version": {VERSION}')
        if set(document) - {"format", "version", "tracks"} or not isinstance(document.get("tracks"), list):
            raise _unusable("beside format and version there is one list, 'tracks'")
        tracks = tuple(_track(entry, position) for position, entry in enumerate(document["tracks"]))
        names = Counter(track.name for track in tracks)
        twice = next((name for name, count in names.items() if count > 1), None)
        if twice is not None:
            raise _unusable(f"two are called '{twice}'")
        return cls(tracks)


def load_hand_tracks(path: Path | str) -> HandTracks:
    """Read a file of hand tracks. Raises `JobError`."""
    path = user_path(path)
    try:
        document = read_json(path, LARGEST_FILE)
    except FileNotFoundError:
        raise JobError("not_found", f"There is no file '{path}'.") from None
    except (OSError, ValueError) as failure:
        reason = str(failure).partition("\n")[0]
        raise JobError("usage", f"The hand tracks in '{path}' cannot be read: {reason}.") from None
    return HandTracks.from_document(document)


def _unusable(what: str) -> JobError:
    return JobError("usage", f"The hand tracks cannot be used: {what}.")


def _track(entry: Any, position: int) -> HandTrack:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise _unusable(f"track {position} has no usable name")
    observations = entry.get("observations")
    if set(entry) - {"name", "observations", "xyz"} or not isinstance(observations, list):
        raise _unusable(f"track '{name}' has a name, a list 'observations', may have 'xyz', and nothing else")
    seen = tuple(_observation(value, name) for value in observations)
    frames = [frame for frame, _, _ in seen]
    if len(set(frames)) < len(frames):
        raise _unusable(f"track '{name}' is in two places in one frame")
    xyz = entry.get("xyz")
    if xyz is None:
        return HandTrack(name, seen)
    if not isinstance(xyz, list) or len(xyz) != 3 or not all(_is_finite(value) for value in xyz):
        raise _unusable(f"'xyz' of track '{name}' is three numbers, in metres")
    return HandTrack(name, seen, (float(xyz[0]), float(xyz[1]), float(xyz[2])))


def _observation(value: Any, name: str) -> Observation:
    if isinstance(value, list) and len(value) == 3 and all(_is_finite(number) for number in value[1:]):
        frame = value[0]
        if isinstance(frame, str) or (isinstance(frame, int) and not isinstance(frame, bool)):
            return frame, float(value[1]), float(value[2])
    raise _unusable(f"an observation of track '{name}' is not [frame, x, y]")


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond any pixel
        return False


@dataclass(frozen=True)
class HandTrackFit:
    """How a result agrees with one track: the median distance in source pixels over so many ``frames``, and where the
    point was measured how far from there it is, in metres. ``fits`` is False where the track or point is wrong."""

    name: str
    frames: int
    residual_px: float
    distance_m: float | None = None
    fits: bool = True


def read_fits(entries: Mapping[str, Any]) -> tuple[HandTrackFit, ...]:
    """What a document's `entries` say of its tracks; none where they cannot be read."""
    try:
        return tuple(
            HandTrackFit(
                str(track["name"]),
                int(track["frames"]),
                float(track["residual_px"]),
                None if track.get("distance_m") is None else float(track["distance_m"]),
                track["fits"] is True,
            )
            for track in entries[ENTRY]["tracks"]
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return ()


def is_surveyed(entries: Mapping[str, Any]) -> bool:
    """Whether measured points say where the world of a result is, by its document's `entries`."""
    entry = entries.get(ENTRY)
    return isinstance(entry, dict) and entry.get("gives") == WORLD
