"""Show a result's files in the system's file manager."""

from pathlib import Path

import bpy

from .results import needs_result, selected_result


class VGGT_OT_open_folder(bpy.types.Operator):
    """Show the files of the selected result"""

    bl_idname = "vggt.open_folder"
    bl_label = "Open Folder"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return needs_result(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = Path(bpy.path.abspath(selected_result(context).folder))
        if not folder.is_dir():
            self.report({"ERROR"}, f"'{folder}' is not there any more.")
            return {"CANCELLED"}
        return bpy.ops.wm.path_open(filepath=str(folder))
