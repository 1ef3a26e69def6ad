"""How solves and set-ups ended, as the panel and the preferences both show it."""

from collections.abc import Callable

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..operators.session import session
from ..operators.task import Notice
from .text import draw_wrapped


def draw_notices(layout: bpy.types.UILayout, width: float, wanted: Callable[[Notice], bool]) -> None:
    """What has not been put away yet, each with what can be done about it."""
    for index, notice in enumerate(session.notices):
        if wanted(notice):
            _draw_notice(layout.box().column(), notice, index, width)


def _draw_notice(layout: bpy.types.UILayout, notice: Notice, index: int, width: float) -> None:
    text = f"{notice.title}: {iface_(notice.message)}" if notice.title else notice.message
    draw_wrapped(layout, text, width, icon="ERROR" if notice.failed else "INFO")
    row = layout.row(align=True)
    if notice.folder is not None:
        row.operator("vggt.import_reconstruction", text="Import", icon="IMPORT").filepath = str(notice.folder)
    if notice.detail:
        row.operator("vggt.show_details", icon="TEXT").index = index
    if notice.failed:
        row.operator("vggt.copy_diagnostics", text="" if notice.detail else "Copy Diagnostics", icon="COPYDOWN")
    plain = not (notice.detail or notice.folder or notice.failed)
    row.operator("vggt.dismiss", text="Dismiss" if plain else "", icon="X").index = index
