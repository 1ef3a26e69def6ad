"""The panels about an imported shot, in the order of the work."""

import bpy

from . import quality
from .delivery import VGGT_MT_export, VGGT_PT_delivery, draw_menu
from .filters import VGGT_PT_filters
from .quality import VGGT_PT_quality
from .tracking import VGGT_PT_tracking

CLASSES = (VGGT_PT_quality, VGGT_PT_filters, VGGT_PT_tracking, VGGT_PT_delivery, VGGT_MT_export)


def register() -> None:
    """What the panels keep beside their classes."""
    quality.register()
    bpy.types.TOPBAR_MT_file_export.append(draw_menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_export.remove(draw_menu)
    quality.unregister()
