"""The scale from two points and their distance."""

import bpy
import numpy as np
from bpy.props import FloatProperty

from ..vggt_blender.geometry.world_frame import scale_matrix
from ..vggt_blender.scene.collection import Holder
from .aligning import Aligns, Array
from .picks import picked_points


class VGGT_OT_set_scale(Aligns, bpy.types.Operator):
    """Scale the shot about the world's origin until two selected points are as far apart as they really are"""

    bl_idname = "vggt.set_scale"
    bl_label = "Scale from 2 Points"
    points = 2

    distance: FloatProperty(
        name="Distance",
        description="How far apart the two points really are",
        subtype="DISTANCE",
        default=1.0,
        min=1e-6,
        soft_max=1000.0,
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        if context.mode == "OBJECT":
            first, second = picked_points(context)
            self.distance = float(np.linalg.norm(second - first))
        return context.window_manager.invoke_props_dialog(self)

    def matrix(self, _context: bpy.types.Context, _shot: Holder, points: Array) -> Array:
        return scale_matrix(points[0], points[1], self.distance)
