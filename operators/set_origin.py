"""The world's origin at the 3D cursor."""

import bpy

from ..vggt_blender.geometry.world_frame import origin_matrix
from ..vggt_blender.scene.collection import Holder
from .aligning import Aligns, Array


class VGGT_OT_set_origin(Aligns, bpy.types.Operator):
    """Move the shot so that what is at the 3D cursor comes to the world's origin. The cursor goes with it"""

    bl_idname = "vggt.set_origin"
    bl_label = "Origin at 3D Cursor"

    def matrix(self, context: bpy.types.Context, _shot: Holder, _points: Array) -> Array:
        place = tuple(context.scene.cursor.location)
        context.scene.cursor.location = (0.0, 0.0, 0.0)
        return origin_matrix(place)
