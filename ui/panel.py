"""The tab in the sidebar of the 3D View, in the order of the work."""

import bpy

from ..operators.backend_setup import setup
from ..operators.locations import PACKAGE, interpreter
from ..operators.results import selected_result
from ..operators.session import Task, session
from ..operators.sources import source_summary
from ..vggt_blender.exchange.messages import JobError
from .backend import draw_setup
from .notice import draw_notice
from .text import about, draw_wrapped

# two ways to import a listed result again: label, icon, and what becomes of the shot and the scene's settings
IMPORTS = (("Update", "FILE_REFRESH", "update", "keep"), ("Import Again", "IMPORT", "new", "ask"))


class _Tab:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VGGT"


class VGGT_PT_shot(_Tab, bpy.types.Panel):
    """Source, main button, progress and messages."""

    bl_label = "VGGT Matchmove"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.vggt
        width = context.region.width
        _draw_missing_backend(layout, context)
        _draw_source(layout, settings)
        if session.task is not None:
            _draw_progress(layout, session.task, width)
        else:
            row = layout.row()
            row.scale_y = 1.6
            row.operator("vggt.solve", icon="TRACKER")
        if session.notice is not None:
            draw_notice(layout, session.notice, width)


class VGGT_PT_options(_Tab, bpy.types.Panel):
    """How to solve and what to bring in."""

    bl_label = "Options"
    bl_parent_id = "VGGT_PT_shot"
    bl_order = 0
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.vggt
        layout.active = session.task is None
        column = layout.column()
        column.prop(settings, "kind")
        column.prop(settings, "device")
        column.prop(settings, "mask")
        column = layout.column(heading="Bring In")
        column.prop(settings, "use_points")
        column.prop(settings, "use_planes")
        layout.prop(settings, "placement", text="Scene")


class VGGT_PT_results(_Tab, bpy.types.Panel):
    """Reconstructions on disk that belong to this scene."""

    bl_label = "Results"
    bl_parent_id = "VGGT_PT_shot"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.vggt
        row = layout.row()
        row.template_list("VGGT_UL_results", "", settings, "results", settings, "active_result", rows=2)
        buttons = row.column(align=True)
        buttons.operator("vggt.import_reconstruction", text="", icon="ADD").filepath = ""
        buttons.operator("vggt.remove_result", text="", icon="REMOVE")
        result = selected_result(context)
        if result is None:
            return
        column = layout.column(align=True)
        column.label(text=f"{result.registered} of {result.total} frames placed", translate=False)
        if result.residual >= 0:
            column.label(text=f"Residual {result.residual:.2f} px", translate=False)
        column.label(text=f"{result.engine.upper()}, {result.date}", translate=False)
        row = layout.row(align=True)
        for text, icon, existing, placement in IMPORTS:
            again = row.operator("vggt.import_reconstruction", text=text, icon=icon)
            again.filepath = bpy.path.abspath(result.folder)
            again.existing, again.placement = existing, placement
        row.operator("vggt.open_folder", text="", icon="FILE_FOLDER")


def _draw_missing_backend(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    try:
        interpreter(context)
        message = ""
    except JobError as failure:
        message = failure.message
    if not message and not setup.running:
        return
    box = layout.box()
    width = context.region.width - 20
    if message and not setup.running:
        draw_wrapped(box, message, width, icon="ERROR")
    draw_setup(box, context, width)
    box.operator("preferences.addon_show", text="Preferences", icon="PREFERENCES").module = PACKAGE


def _draw_source(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    column = layout.column()
    column.active = session.task is None
    row = column.row(align=True)
    row.scale_y = 1.2
    text = source_summary(settings) if settings.source else "Choose Pictures or Video"
    row.operator("vggt.pick_source", text=text, icon="FILE_FOLDER", translate=not settings.source)
    column.prop(settings, "engine")
    column.prop(settings, "use_range")
    if settings.use_range:
        numbers = column.column(align=True)
        for name in ("first", "last", "step"):
            numbers.prop(settings, name)


def _draw_progress(layout: bpy.types.UILayout, task: Task, width: int) -> None:
    box = layout.box().column()
    box.label(text=f"Solving {task.title}", icon="TRACKER", translate=False)
    factor = min(1.0, task.done / task.total) if task.total else 0.0
    counted = f"{task.done} of {task.total}" if task.total else ""
    if task.arrived is not None:
        draw_wrapped(box, "Solved. It comes in as soon as you are back in Object Mode.", width)
    else:
        stage = "Stopping" if task.cancelling else task.stage.capitalize()
        box.progress(factor=factor, type="BAR", text=f"{stage}  {counted}".strip())
        box.label(text="" if task.cancelling else about(task.remaining_s), translate=False)
    for warning in task.warnings[-1:]:
        draw_wrapped(box, warning, width, icon="INFO")
    row = box.row()
    row.scale_y = 1.2
    row.operator("vggt.cancel", icon="CANCEL")
