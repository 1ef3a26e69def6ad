"""Tracks by hand and measured points that the next solve has to agree with."""

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..operators.mark_survey_point import active_track
from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.scene.clip_tracks import artists_tracks, survey_objects
from .tab import SubPanel
from .text import draw_wrapped


class VGGT_PT_hand_tracks(SubPanel, bpy.types.Panel):
    """The clip whose tracks count, and where their points were measured."""

    bl_label = "Hand Tracks & Survey"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.vggt
        layout.prop(settings, "clip", text="")
        if settings.clip is None:
            layout.operator("vggt.use_clip_tracks", icon="TRACKER")
            return
        names = {track.name for track in artists_tracks(settings.clip)}
        try:
            measured = len(names & survey_objects(context.scene).keys())
        except JobError as failure:
            draw_wrapped(layout.box(), failure.message, context.region.width - 20, icon="ERROR")
            return
        counted = iface_("{} tracks, {} measured").format(len(names), measured)
        layout.label(text=counted, icon="TRACKING", translate=False)
        track = active_track(context)
        column = layout.column(align=True)
        whose = iface_("Measured place of") if track is None else iface_("Measured place of '{}'").format(track.name)
        column.label(text=whose, translate=False)
        for place, text, icon in (("OBJECT", "Active Object", "OBJECT_ORIGIN"), ("CURSOR", "3D Cursor", "CURSOR")):
            column.operator("vggt.mark_survey_point", text=text, icon=icon).place = place
