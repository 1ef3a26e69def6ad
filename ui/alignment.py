"""Floor, scale and direction of the shot, and its numbers."""

import bpy

from ..operators.aligning import current_shot
from ..vggt_blender.scene.alignment import ROOT
from .tab import SubPanel
from .text import draw_wrapped


class VGGT_PT_alignment(SubPanel, bpy.types.Panel):
    """Tools that move the shot's parent empty, in the order of the work."""

    bl_label = "Alignment"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        shot = current_shot(context)
        if shot is None:
            draw_wrapped(layout, "Select a part of an imported shot.", context.region.width, icon="INFO")
        column = layout.column(align=True)
        column.operator("vggt.level", icon="ORIENTATION_GIMBAL")
        column.operator("vggt.add_point", icon="EMPTY_AXIS")
        column.operator("vggt.set_floor", icon="GRID")
        column.operator("vggt.set_scale", icon="DRIVER_DISTANCE")
        row = column.row(align=True)
        for axis, text in (("X", "Along X"), ("Y", "Along Y"), ("Z", "Along Z")):
            row.operator("vggt.set_direction", text=text).axis = axis
        column.operator("vggt.set_origin", icon="PIVOT_CURSOR")
        column.operator("vggt.reset_alignment", icon="LOOP_BACK")
        if shot is not None:
            _draw_numbers(layout, shot.find(ROOT))


def _draw_numbers(layout: bpy.types.UILayout, root: bpy.types.Object) -> None:
    layout.label(text=root.name, icon="EMPTY_DATA", translate=False)
    numbers = layout.column()
    numbers.enabled = False  # the tools and the empty itself are there to change them
    numbers.prop(root, "location")
    turned = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}
    numbers.prop(root, turned.get(root.rotation_mode, "rotation_euler"))
    numbers.prop(root, "scale")
