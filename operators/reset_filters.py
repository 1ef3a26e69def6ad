"""The filters back to what the import showed."""

import bpy

from ..vggt_blender.scene.alignment import ROOT
from ..vggt_blender.scene.collection import Holder
from ..vggt_blender.scene.filters import reset_filters
from .shots import NeedsShot


class VGGT_OT_reset_filters(NeedsShot, bpy.types.Operator):
    """Show what the import showed"""

    bl_idname = "vggt.reset_filters"
    bl_label = "Reset Filters"

    def work(self, _context: bpy.types.Context, shot: Holder) -> None:
        reset_filters(shot.find(ROOT))
