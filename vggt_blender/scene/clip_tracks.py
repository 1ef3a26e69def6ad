"""Tracks that the artist placed in a movie clip, and objects that mark where their points were measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import bpy

from ..exchange.hand_tracks import HandTrack, HandTracks, Observation
from ..exchange.messages import JobError
from ..exchange.plate_names import NUMBERED
from .stored_paths import full_path
from .track_objects import OWN_NAME

SURVEY = "vggt_survey"  # on an object: the name of the track whose measured place it is


def clip_file(clip: bpy.types.MovieClip) -> Path:
    """The clip's video, or the first file of its sequence."""
    return full_path(clip.filepath)


def shows(clip: bpy.types.MovieClip, inputs: Iterable[str]) -> bool:
    """Whether `clip` shows what `inputs` name: one folder, picture files, or one video."""
    file = clip_file(clip)
    if clip.source == "MOVIE":
        return any(full_path(path) == file for path in inputs)
    return any(full_path(path) in (file.parent, file) for path in inputs)


def artists_tracks(clip: bpy.types.MovieClip) -> Iterator[bpy.types.MovieTrackingTrack]:
    """The tracks that were placed by hand: neither ours nor switched off."""
    for track in clip.tracking.tracks:
        if not re.fullmatch(OWN_NAME, track.name) and any(not marker.mute for marker in track.markers):
            yield track


def survey_objects(scene: bpy.types.Scene) -> dict[str, bpy.types.Object]:
    """The objects that mark measured places, by the name of their track. Raises `JobError` where two mark one."""
    found: dict[str, bpy.types.Object] = {}
    for thing in scene.objects:
        name = str(thing.get(SURVEY, ""))
        if name and name in found:
            raise JobError(
                "usage", f"'{found[name].name}' and '{thing.name}' both are the measured place of track '{name}'."
            )
        if name:
            found[name] = thing
    return found


def clip_hand_tracks(clip: bpy.types.MovieClip, scene: bpy.types.Scene) -> HandTracks:
    """The tracks by hand of `clip`, with the places that objects of `scene` mark, in metres.

    Markers count from the lower left in pictures, 0 to 1 from edge to edge. Raises `JobError`.
    """
    measured = survey_objects(scene)
    meters = scene.unit_settings.scale_length
    tracks = []
    for track in artists_tracks(clip):
        place = measured.get(track.name)
        xyz = None if place is None else tuple(meters * value for value in place.matrix_world.translation)
        tracks.append(HandTrack(track.name, tuple(_observations(clip, track)), xyz))
    if not tracks:
        raise JobError("usage", f"The clip '{clip.name}' has no tracks: place some in the Clip Editor, or clear it.")
    return HandTracks(tuple(tracks))


def _observations(clip: bpy.types.MovieClip, track: bpy.types.MovieTrackingTrack) -> Iterator[Observation]:
    width, height = clip.size
    for marker in track.markers:
        x, y = marker.co
        if not marker.mute and 0 < x < 1 and 0 < y < 1:
            yield _frame(clip, marker.frame), x * width, (1 - y) * height


def _frame(clip: bpy.types.MovieClip, number: int) -> int | str:
    """What the clip shows at its own frame `number`, counted from 1: the file's name, or the video's index."""
    if clip.source == "MOVIE":
        return int(number) - 1 + int(clip.frame_offset)
    file = clip_file(clip)
    first = NUMBERED.fullmatch(file.stem)
    if first is None:
        return file.name
    shown = int(first["number"]) + int(number) - 1 + int(clip.frame_offset)
    return f"{first['name']}{shown:0{len(first['number'])}d}{file.suffix}"
