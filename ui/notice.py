"""How the last solve or set-up ended, as the panel and the preferences both show it."""

import bpy

from ..operators.session import Notice
from .text import draw_wrapped


def draw_notice(layout: bpy.types.UILayout, notice: Notice, width: float) -> None:
    """How something ended, and what can be done about it."""
    box = layout.box().column()
    draw_wrapped(box, notice.message, width, icon="ERROR" if notice.failed else "INFO")
    row = box.row(align=True)
    if notice.folder is not None:
        row.operator("vggt.import_reconstruction", text="Import", icon="IMPORT").filepath = str(notice.folder)
    if notice.detail:
        row.operator("vggt.show_details", icon="TEXT")
    row.operator("vggt.dismiss", text="" if notice.detail or notice.folder else "Dismiss", icon="X")
