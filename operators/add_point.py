"""A point of the shot, for the alignment tools: an empty where the 3D cursor is."""

import bpy

from ..vggt_blender.scene.alignment import ROOT
from .aligning import Aligns, current_shot

MARK = "vggt_point"
MOST = 3


class VGGT_OT_add_point(Aligns, bpy.types.Operator):
    """Add a point at the 3D cursor, selected with the ones before. Shift right-click puts the cursor on a surface"""

    bl_idname = "vggt.add_point"
    bl_label = "Add Point at 3D Cursor"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Go back to Object Mode first")
            return False
        return super().poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        shot = current_shot(context)
        root = shot.find(ROOT)
        chosen = [thing for thing in context.selected_objects if MARK in thing]
        for thing in context.selected_objects:
            thing.select_set(thing in chosen and len(chosen) < MOST)
        point = bpy.data.objects.new(f"{shot.name} point", None)
        point[MARK] = True
        point.empty_display_type = "SPHERE"
        point.empty_display_size = 0.1 * root.empty_display_size
        point.show_in_front = True
        shot.collection.objects.link(point)
        point.parent = root
        context.view_layer.update()
        point.location = root.matrix_world.inverted() @ context.scene.cursor.location
        point.select_set(True)
        context.view_layer.objects.active = point
        return {"FINISHED"}
