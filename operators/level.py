"""The suggested ground: from the cameras and the points that are in the scene."""

import bpy

from ..vggt_blender.scene.collection import Holder
from ..vggt_blender.scene.world_frame import suggested_matrix
from .aligning import Aligns, Array


class VGGT_OT_level(Aligns, bpy.types.Operator):
    """Find the ground from cameras and points and stand the shot on it. Scale and direction stay"""

    bl_idname = "vggt.level"
    bl_label = "Level"

    def matrix(self, _context: bpy.types.Context, shot: Holder, _points: Array) -> Array:
        return suggested_matrix(shot)
