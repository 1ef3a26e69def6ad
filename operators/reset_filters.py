"""The filters back to what the import showed."""

import bpy

from ..vggt_blender.scene.alignment import ROOT
from ..vggt_blender.scene.filters import reset_filters
from .aligning import current_shot


class VGGT_OT_reset_filters(bpy.types.Operator):
    """Show what the import showed"""

    bl_idname = "vggt.reset_filters"
    bl_label = "Reset Filters"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if current_shot(context) is None:
            cls.poll_message_set("Select a part of an imported shot")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        reset_filters(current_shot(context).find(ROOT))
        return {"FINISHED"}
