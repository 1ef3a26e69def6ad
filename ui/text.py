"""Text in panels: sentences that wrap, times and places for people."""

from __future__ import annotations

import textwrap

import bpy
from bpy.app.translations import pgettext_iface as iface_

CHARACTER_PX = 6.6  # of the interface font at its normal size, on average


def draw_wrapped(layout: bpy.types.UILayout, text: str, width_px: float, icon: str = "NONE") -> None:
    """`text`, translated as a whole, as labels of at most `width_px` screen pixels; the first carries the icon."""
    scale = bpy.context.preferences.system.ui_scale
    room = width_px / scale - (60 if icon != "NONE" else 40)
    column = layout.column(align=True)
    column.scale_y = 0.85
    for line in textwrap.wrap(iface_(text), max(16, int(room / CHARACTER_PX))):
        column.label(text=line, icon=icon, translate=False)
        icon = "BLANK1" if icon != "NONE" else "NONE"


def about(seconds: float | None) -> str:
    """A time left, as rough as it is known."""
    if seconds is None:
        return ""
    if seconds < 60:
        return iface_("about {} s left").format(max(5, round(seconds / 5) * 5))
    return iface_("about {} min left").format(round(seconds / 60))
