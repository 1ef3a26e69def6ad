"""The backend's set-up, as the panel and the preferences both show it."""

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..operators.backend_setup import OFFLINE, setup, size_text
from ..operators.locations import wheels_folder
from .progress import draw_progress
from .text import draw_wrapped


def draw_setup(layout: bpy.types.UILayout, context: bpy.types.Context, width: float) -> None:
    """The button with what it costs, or the news of the set-up under way with its own."""
    column = layout.column()
    if setup.running:
        stage = "Stopping" if setup.cancelling else setup.stage
        if setup.total:
            draw_progress(column, stage, setup.done, setup.total, " MB")
        else:
            draw_wrapped(column, stage, width, icon="SORTTIME")
        column.operator("vggt.cancel_setup", icon="CANCEL")
        return
    column.operator("vggt.setup_backend", icon="IMPORT")
    if wheels_folder(context) is None and not bpy.app.online_access:
        draw_wrapped(column, iface_(OFFLINE) + ".", width, icon="INTERNET_OFFLINE")
    else:
        sizes = iface_("Takes {}; without VGGT {}.").format(size_text(with_vggt=True), size_text(with_vggt=False))
        draw_wrapped(column, sizes, width)
