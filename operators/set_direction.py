"""The direction of an axis from two points."""

import bpy
from bpy.props import BoolProperty, EnumProperty

from ..vggt_blender.geometry.world_frame import direction_matrix
from ..vggt_blender.scene.collection import Holder
from .aligning import Aligns, Array


class VGGT_OT_set_direction(Aligns, bpy.types.Operator):
    """Turn the shot until the line through two selected points is parallel to an axis"""

    bl_idname = "vggt.set_direction"
    bl_label = "Direction from 2 Points"
    points = 2

    axis: EnumProperty(
        name="Axis",
        description="The axis that the line becomes parallel to",
        items=(
            ("X", "X", "Turn about the vertical: the floor stays"),
            ("Y", "Y", "Turn about the vertical: the floor stays"),
            ("Z", "Z", "Stand the line upright, as the edge of a house"),
        ),
    )
    flip: BoolProperty(name="Flip", description="Turn the other way round")

    def matrix(self, _context: bpy.types.Context, _shot: Holder, points: Array) -> Array:
        return direction_matrix(points[0], points[1], self.axis, self.flip)
