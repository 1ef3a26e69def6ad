"""The timer that brings the backend's news into Blender, and what else has to hear of Blender's life.

A timer rather than a modal operator: one that runs for minutes keeps Blender from saving its automatic backups.
"""

from __future__ import annotations

import atexit

import bpy
from bpy.app.handlers import persistent

from .backend_setup import setup
from .check import check
from .session import session

INTERVAL_S = 0.1


def watch() -> None:
    """Have the timer run until there is nothing to watch any more. Without a window there are no timers."""
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=INTERVAL_S, persistent=True)


def redraw_panels() -> None:
    """Redraw the sidebars and the preferences alone: progress does not touch the viewport and its points."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()
            elif area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


def register() -> None:
    bpy.app.handlers.load_pre.append(_before_load)
    bpy.app.handlers.load_post.append(_after_load)
    atexit.register(_close)


def unregister() -> None:
    atexit.unregister(_close)
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    bpy.app.handlers.load_pre.remove(_before_load)
    bpy.app.handlers.load_post.remove(_after_load)
    _close()


def _tick() -> float | None:
    news = [session.step(), check.step(), setup.step()]
    if any(news):
        redraw_panels()
    return INTERVAL_S if session.task is not None or check.running or setup.running else None


def _close() -> None:
    session.close()
    check.close()
    setup.close()


@persistent
def _before_load(_path: str) -> None:
    session.before_load()


@persistent
def _after_load(_path: str) -> None:
    session.after_load()
