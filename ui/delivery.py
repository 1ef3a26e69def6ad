"""The shot for other programs."""

import bpy

from ..operators import export, export_in_backend
from ..operators.aligning import current_shot
from ..vggt_blender.scene.export import SUFFIXES, missing_exporter
from .tab import SubPanel
from .text import draw_wrapped

ICONS = {"CHAN": "CAMERA_DATA", "USD": "FILE_3D", "ALEMBIC": "FILE_3D", "PLY": "OUTLINER_OB_POINTCLOUD",
         "STMAP": "MOD_LATTICE", "GLB": "OUTLINER_OB_POINTCLOUD", "COLMAP": "FILE_FOLDER",
         "UNDISTORTED": "IMAGE_DATA"}  # fmt: skip


class VGGT_PT_delivery(SubPanel, bpy.types.Panel):
    """Exports: by Blender itself, and by the backend."""

    bl_label = "Delivery"
    bl_order = 6

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return current_shot(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        _draw_blenders(self.layout.column(align=True))
        reasons = {missing_exporter(name) for name in SUFFIXES} - {""}
        if reasons:
            draw_wrapped(self.layout, "This Blender was built without what is grey.", context.region.width, icon="INFO")
        _draw_backends(self.layout.column(align=True))


class VGGT_MT_export(bpy.types.Menu):
    """The same in File > Export."""

    bl_label = "VGGT Shot"

    def draw(self, _context: bpy.types.Context) -> None:
        _draw_blenders(self.layout)
        self.layout.separator()
        _draw_backends(self.layout)


def _draw_blenders(layout: bpy.types.UILayout) -> None:
    for name, label, _ in export.FORMATS:
        row = layout.row(align=True)
        row.enabled = name not in SUFFIXES or not missing_exporter(name)
        row.operator("vggt.export", text=label, icon=ICONS[name]).format = name


def _draw_backends(layout: bpy.types.UILayout) -> None:
    for name, label, _ in export_in_backend.FORMATS:
        layout.operator("vggt.export_in_backend", text=label, icon=ICONS[name]).format = name


def draw_menu(self: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry of File > Export."""
    self.layout.menu("VGGT_MT_export")
