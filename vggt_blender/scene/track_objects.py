"""Tracks in the scene: as one object of points, as empties, or as markers in the clip for Blender's own solver."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from ..exchange.reconstruction import Reconstruction
from ..geometry.blender_axes import points_to_blender
from .clip import clip_frame
from .collection import Holder
from .materials import plain_material
from .node_groups import MATERIAL, track_group
from .point_cloud import write_attribute, write_vertices
from .timeline import Timeline
from .tracks import ShotTracks
from .versions import set_modifier_input

TRACKS = "tracks"
EMPTY = "track:"
MODIFIER = "VGGT Tracks"
OWN_NAME = r"VGGT \d{3,}"  # of the tracks that are written into a clip
TRACK_COLOR = (1.0, 0.45, 0.05)


def build_track_points(
    holder: Holder, root: bpy.types.Object, tracks: ShotTracks, timeline: Timeline, size: float
) -> bpy.types.Object:
    """One mesh with a vertex for each track that has a place; it shows while the track is seen.

    Attributes: ``first`` and ``last`` frame, ``frames`` that see it, ``error`` in pixels.
    """
    tracks = tracks.pick(np.isfinite(tracks.xyz).all(axis=1))
    name = f"{holder.name} tracks"
    thing, new = holder.ensure(TRACKS, name, bpy.data.meshes.new(name))
    write_vertices(thing.data, points_to_blender(tracks.xyz).astype(np.float32))
    first, last = _spans(tracks, timeline)
    write_attribute(thing.data, "first", first)
    write_attribute(thing.data, "last", last)
    write_attribute(thing.data, "frames", tracks.visible.sum(axis=0).astype(np.int32))
    write_attribute(thing.data, "error", tracks.error.astype(np.float32))
    if new:
        thing.parent = root
        modifier = thing.modifiers.new(MODIFIER, "NODES")
        modifier.node_group = track_group(name, 0.004 * size)
        set_modifier_input(modifier, MATERIAL, plain_material(name, TRACK_COLOR))
        thing.show_in_front = True
    return thing


def _spans(tracks: ShotTracks, timeline: Timeline) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First and last scene frames (T,) that see each track."""
    frames = np.array([timeline.frame(position) for position in range(len(tracks.visible))], np.int32)
    last = len(frames) - 1 - tracks.visible[::-1].argmax(axis=0)
    return frames[tracks.visible.argmax(axis=0)], frames[last]


def build_track_empties(
    holder: Holder, root: bpy.types.Object, tracks: ShotTracks, size: float
) -> list[bpy.types.Object]:
    """An empty at the place of each track, to parent and to constrain to; those of an earlier call are moved."""
    empties = []
    for number, place in enumerate(tracks.xyz[np.isfinite(tracks.xyz).all(axis=1)], start=1):
        empty, new = holder.ensure(f"{EMPTY}{number}", f"Track {number:03d}", None, "tracks")
        if new:
            empty.parent = root
            empty.empty_display_type = "PLAIN_AXES"
            empty.empty_display_size = 0.02 * size
        empty.location = Vector(points_to_blender(place))
        empties.append(empty)
    holder.keep_only(EMPTY, {f"{EMPTY}{number}" for number in range(1, len(empties) + 1)})
    return empties


def write_markers(
    clip: bpy.types.MovieClip, tracks: ShotTracks, reconstruction: Reconstruction, timeline: Timeline
) -> int:
    """Markers at the exact sub-pixel places, in tracks named VGGT 001, ...: Blender counts from the lower left, 0 to 1.

    Tracks of the artist's own stay; ours from an earlier call are written anew. Returns how many tracks there are.
    """
    count = tracks.visible.shape[1]
    sizes = np.array([(frame.width, frame.height) for frame in reconstruction.frames], np.float64)
    places = tracks.xy / sizes[:, None]
    places[..., 1] = 1.0 - places[..., 1]
    numbers = [clip_frame(clip, timeline.frame(position)) for position in range(len(sizes))]
    for index in range(count):
        seen = np.flatnonzero(tracks.visible[:, index])
        if not len(seen):
            continue
        track = _empty_track(clip, f"VGGT {index + 1:03d}", numbers[seen[0]])
        for position in seen:
            track.markers.insert_frame(numbers[position], co=places[position, index])
        for position in seen[:-1][np.diff(seen) > 1]:
            track.markers.insert_frame(numbers[position] + 1, co=places[position, index]).mute = True
        track.markers.insert_frame(numbers[seen[-1]] + 1, co=places[seen[-1], index]).mute = True
    return count


def _empty_track(clip: bpy.types.MovieClip, name: str, frame: int) -> bpy.types.MovieTrackingTrack:
    """The track called `name` with one marker, at `frame`."""
    track = clip.tracking.tracks.get(name)
    if track is None:
        return clip.tracking.tracks.new(name=name, frame=frame)
    track.markers.insert_frame(frame)
    for number in [marker.frame for marker in track.markers if marker.frame != frame]:
        track.markers.delete_frame(number)
    return track
