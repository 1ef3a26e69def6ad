"""From the solved shot to Blender's tracker and compositor."""

import bpy

from ..operators.aligning import current_shot
from .tab import SubPanel


class VGGT_PT_tracking(SubPanel, bpy.types.Panel):
    """The plate as a clip, its tracks, and a scene to put things into."""

    bl_label = "Clip and Compositing"
    bl_order = 5

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return current_shot(context) is not None

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        column = layout.column(align=True)
        column.operator("vggt.make_clip", icon="TRACKER")
        column.operator("vggt.set_up_compositing", icon="NODE_COMPOSITING")
        column.operator("vggt.add_moving_plane", icon="MESH_GRID")
        layout.label(text="Tracks as")
        column = layout.column(align=True)
        for kind, text, icon in (
            ("POINTS", "Points", "OUTLINER_OB_POINTCLOUD"),
            ("EMPTIES", "Empties", "EMPTY_AXIS"),
            ("MARKERS", "Clip Markers", "TRACKING"),
        ):
            column.operator("vggt.add_tracks", text=text, icon=icon).kind = kind
