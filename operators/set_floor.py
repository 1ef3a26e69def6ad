"""The floor from three points."""

import bpy

from ..vggt_blender.geometry.world_frame import floor_matrix
from ..vggt_blender.scene.collection import Holder
from ..vggt_blender.scene.world_frame import view_point
from .aligning import Aligns, Array


class VGGT_OT_set_floor(Aligns, bpy.types.Operator):
    """Turn and lift the shot so that three selected points lie on the grid, cameras above"""

    bl_idname = "vggt.set_floor"
    bl_label = "Floor from 3 Points"
    points = 3

    def matrix(self, _context: bpy.types.Context, shot: Holder, points: Array) -> Array:
        return floor_matrix(points, view_point(shot))
