"""Tracks placed by hand in the Clip Editor become a part of the next solve."""

from __future__ import annotations

import re
from pathlib import Path

import bpy

from ..vggt_blender.exchange.hand_tracks import HandTracks
from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.scene.clip_tracks import artists_tracks, clip_hand_tracks, shows
from .make_clip import show_clip
from .sources import source_inputs


class VGGT_OT_use_clip_tracks(bpy.types.Operator):
    """Have the next solve agree with the tracks of the source's movie clip; the source is loaded as a clip if there is
    none yet"""

    bl_idname = "vggt.use_clip_tracks"
    bl_label = "Use Clip Tracks"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not context.scene.vggt.source:
            cls.poll_message_set("Choose an image sequence or a video first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        try:
            clip = _clip_of_source(scene) or _load_source(scene)
        except JobError as failure:
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        scene.vggt.clip = clip
        if scene.active_clip is None:
            scene.active_clip = clip
        show_clip(context, clip)
        count = len(list(artists_tracks(clip)))
        self.report({"INFO"}, f"'{clip.name}' has {count} tracks placed by hand.")
        return {"FINISHED"}


def hand_tracks_of(settings: bpy.types.PropertyGroup) -> HandTracks:
    """The tracks that the next solve has to agree with. Raises `JobError` where the clip shows something else."""
    clip = settings.clip
    if clip is None:
        return HandTracks()
    if not shows(clip, source_inputs(settings)):
        raise JobError("usage", f"The clip '{clip.name}' shows another plate than the source: choose its own, or none.")
    return clip_hand_tracks(clip, settings.id_data)


def _clip_of_source(scene: bpy.types.Scene) -> bpy.types.MovieClip | None:
    """The scene's own clip before others, one with tracks before those without."""
    inputs = source_inputs(scene.vggt)
    fitting = [clip for clip in bpy.data.movieclips if shows(clip, inputs)]
    order = sorted(fitting, key=lambda clip: (not list(artists_tracks(clip)), clip != scene.active_clip))
    return order[0] if order else None


def _load_source(scene: bpy.types.Scene) -> bpy.types.MovieClip:
    """Raises `JobError` for what is no clip."""
    path = Path(source_inputs(scene.vggt)[0])
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and file.stem[-1:].isdecimal())
        if not files:
            raise JobError("usage", f"There is no image sequence in '{path}': separate photos are no clip.")
        path = files[0]
    try:
        clip = bpy.data.movieclips.load(str(path))
    except RuntimeError as failure:
        raise JobError("usage", f"'{path}' cannot be opened as a movie clip: {failure}") from None
    number = re.search(r"\d+$", path.stem)
    if clip.source == "SEQUENCE" and number is not None:
        clip.frame_start = int(number[0])  # at the plate's own numbers, as a solved shot is
    return clip
