"""Back to where the import stood the shot."""

import bpy

from ..vggt_blender.scene.alignment import ROOT
from ..vggt_blender.scene.world_frame import reset_root
from .aligning import Aligns, current_shot


class VGGT_OT_reset_alignment(Aligns, bpy.types.Operator):
    """Put the shot back to the place, scale and direction that it was imported with"""

    bl_idname = "vggt.reset_alignment"
    bl_label = "Reset"

    def execute(self, context: bpy.types.Context) -> set[str]:
        shot = current_shot(context)
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        reset_root(shot.find(ROOT))
        return {"FINISHED"}
