"""The timer that brings the backend's news into Blender, and what else has to hear of Blender's life.

A timer rather than a modal operator: one that runs for minutes keeps Blender from saving its automatic backups.
"""

from __future__ import annotations

import atexit
import contextlib

import bpy
from bpy.app.handlers import persistent

from ..vggt_blender.exchange.messages import JobError
from .backend_setup import setup
from .check import check
from .locations import idle_limit_s, interpreter
from .model_download import download
from .program import Program
from .saving import paths
from .session import session
from .task import Task

INTERVAL_S = 0.1


def watch() -> None:
    """Have the timer run until there is nothing to watch any more. Without a window there are no timers."""
    if bpy.app.background:
        return
    if bpy.app.timers.is_registered(_tick):  # it may sleep until an idle backend is to end
        bpy.app.timers.unregister(_tick)
    bpy.app.timers.register(_tick, first_interval=INTERVAL_S, persistent=True)


def follow(operator: bpy.types.Operator, program: Program) -> set[str]:
    """What an operator that started `program` returns: at once, but without a window when the program has ended."""
    watch()
    if bpy.app.background:
        program.wait()
        if program.failure is not None:
            operator.report({"ERROR"}, program.failure.message)
            return {"CANCELLED"}
    return {"FINISHED"}


def follow_task(operator: bpy.types.Operator, task: Task, wait: bool) -> set[str]:
    """What an operator that started `task` returns: at once, but for scripts that `wait`, and without a window, when it
    has ended."""
    watch()
    if wait or bpy.app.background:
        session.wait(task)
        if task.failure is not None:
            operator.report({"ERROR"}, task.failure.message)
            return {"CANCELLED"}
    return {"FINISHED"}


def ask_backend(context: bpy.types.Context) -> None:
    """Learn what the backend can do, once and in the background, so that the panel can say what cannot work."""
    if bpy.app.background or setup.running:
        return
    with contextlib.suppress(JobError):
        check.ask(interpreter(context))
        watch()


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
    bpy.app.handlers.save_pre.append(_before_save)
    for ended in (bpy.app.handlers.save_post, bpy.app.handlers.save_post_fail):
        ended.append(_after_save)
    atexit.register(_close)


def unregister() -> None:
    atexit.unregister(_close)
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    bpy.app.handlers.load_pre.remove(_before_load)
    bpy.app.handlers.load_post.remove(_after_load)
    bpy.app.handlers.save_pre.remove(_before_save)
    for ended in (bpy.app.handlers.save_post, bpy.app.handlers.save_post_fail):
        ended.remove(_after_save)
    _close()


def _tick() -> float | None:
    news = [session.step(), check.step(), setup.step(), download.step()]
    if any(news):
        redraw_panels()
    if session.tasks or check.running or setup.running or download.running:
        return INTERVAL_S
    return session.rest(idle_limit_s(bpy.context))


def _close() -> None:
    session.close()
    check.close()
    setup.close()
    download.close()


@persistent
def _before_save(path: str) -> None:
    paths.before_save(path)


@persistent
def _after_save(_path: str) -> None:
    paths.after_save()


@persistent
def _before_load(_path: str) -> None:
    session.before_load()


@persistent
def _after_load(_path: str) -> None:
    session.after_load()
