"""Take a result off the list; its files stay."""

import bpy

from .results import drop_selected, needs_result


class VGGT_OT_remove_result(bpy.types.Operator):
    """Take the selected result off the list. Its files and what was imported from it stay"""

    bl_idname = "vggt.remove_result"
    bl_label = "Remove from List"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return needs_result(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        drop_selected(context)
        return {"FINISHED"}
