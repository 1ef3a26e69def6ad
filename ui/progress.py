"""The solves under way: the one that runs with its progress, and those that wait for it."""

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..operators.session import session
from ..operators.task import Task
from .text import about, draw_wrapped

COMES_IN = "Solved. It comes in as soon as you are back in Object Mode."
UPDATES = "Written. The shot is updated as soon as you are back in Object Mode."


def draw_tasks(layout: bpy.types.UILayout, width: float) -> None:
    """Every task that is not over, in its order."""
    waiting = [task for task in session.tasks if not task.begun]
    for task in session.tasks:
        if task.begun:
            _draw_task(layout.box().column(), task, width)
    if not waiting:
        return
    column = layout.box().column(align=True)
    for position, task in enumerate(waiting, 1):
        row = column.row()
        row.label(text=f"{position}. {task.title}", icon="SORTTIME", translate=False)
        row.operator("vggt.cancel", text="", icon="X", emboss=False).job = task.job.id


def _draw_task(layout: bpy.types.UILayout, task: Task, width: float) -> None:
    doing, icon = (iface_("Writing {}"), "EXPORT") if task.exports else (iface_("Solving {}"), "TRACKER")
    layout.label(text=doing.format(task.title), icon=icon, translate=False)
    if task.arrived is not None:
        draw_wrapped(layout, UPDATES if task.exports else COMES_IN, width)
    else:
        stage = "Stopping" if task.cancelling else task.stage.capitalize()
        draw_progress(layout, stage, task.done, task.total)
        layout.label(text="" if task.cancelling else about(task.remaining_s), translate=False)
    for warning in task.warnings[-1:]:
        draw_wrapped(layout, warning, width, icon="INFO")
    row = layout.row()
    row.scale_y = 1.2
    row.operator("vggt.cancel", icon="CANCEL").job = task.job.id


def draw_progress(layout: bpy.types.UILayout, stage: str, done: int, total: int, unit: str = "") -> None:
    """A bar with its stage, and how far it is where that is known."""
    counted = iface_("{} of {}").format(done, total) + unit if total else ""
    factor = min(1.0, done / total) if total else 0.0
    layout.progress(factor=factor, type="BAR", text=f"{iface_(stage)}  {counted}".strip(), translate=False)
