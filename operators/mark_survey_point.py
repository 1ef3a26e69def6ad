"""A track's point was measured: an object in the scene marks where it is."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty

from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.scene.clip_tracks import SURVEY, survey_objects
from ..vggt_blender.scene.collection import ID


def active_track(context: bpy.types.Context) -> bpy.types.MovieTrackingTrack | None:
    """The track that is active in the clip that the next solve uses."""
    clip = context.scene.vggt.clip
    return None if clip is None else clip.tracking.tracks.active


class VGGT_OT_mark_survey_point(bpy.types.Operator):
    """Say where the clip's active track was measured: the solve puts its point there, in metres"""

    bl_idname = "vggt.mark_survey_point"
    bl_label = "Mark Measured Place"
    bl_options = {"REGISTER", "UNDO"}

    place: EnumProperty(
        name="Place",
        items=(
            ("OBJECT", "Active Object", "The origin of the active object is the measured place"),
            ("CURSOR", "3D Cursor", "A new empty at the 3D cursor; type the measured coordinates as its location"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if active_track(context) is None:
            cls.poll_message_set("Choose a clip, and select a track in the Clip Editor")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        track, scene = active_track(context), context.scene
        try:
            before = survey_objects(scene).get(track.name)
        except JobError as failure:
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        thing = context.active_object if self.place == "OBJECT" else _empty_at_cursor(context, track.name)
        if thing is None or ID in thing:
            self.report({"ERROR"}, "Select an object of your own at the measured place: parts of a solve cannot be it.")
            return {"CANCELLED"}
        if before is not None and before != thing:
            del before[SURVEY]
        thing[SURVEY] = track.name
        x, y, z = (scene.unit_settings.scale_length * value for value in thing.matrix_world.translation)
        self.report({"INFO"}, f"Track '{track.name}' is at ({x:.4g}, {y:.4g}, {z:.4g}) m: '{thing.name}'.")
        return {"FINISHED"}


def _empty_at_cursor(context: bpy.types.Context, name: str) -> bpy.types.Object:
    empty = bpy.data.objects.new(name, None)
    empty.empty_display_type = "SPHERE"
    empty.empty_display_size = 0.05 / context.scene.unit_settings.scale_length
    empty.show_in_front = True
    empty.location = context.scene.cursor.location
    context.scene.collection.objects.link(empty)
    for other in context.selected_objects:
        other.select_set(False)
    empty.select_set(True)
    context.view_layer.objects.active = empty
    context.view_layer.update()
    return empty
