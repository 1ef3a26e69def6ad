"""The tab in the sidebar of the 3D View, in the order of the work."""

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..operators.backend_setup import setup
from ..operators.locations import PACKAGE, runs_here, seen_interpreter
from ..operators.results import selected_result
from ..operators.session import session
from ..operators.solve import obstacle
from ..operators.sources import source_summary
from ..vggt_blender.exchange.messages import JobError
from .backend import draw_setup
from .notice import draw_notices
from .progress import draw_tasks
from .tab import SubPanel, Tab, is_narrow
from .text import draw_wrapped

# two ways to import a listed result again: label, icon, and what becomes of the shot and the scene's settings
IMPORTS = (("Update", "FILE_REFRESH", "update", "keep"), ("Import Again", "IMPORT", "new", "ask"))


class VGGT_PT_shot(Tab, bpy.types.Panel):
    """Source, main button, progress and messages."""

    bl_label = "VGGT Matchmove"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.vggt
        width = context.region.width
        _draw_missing_backend(layout, context)
        _draw_source(layout, settings)
        _draw_engine_note(layout, context)
        row = layout.row()
        row.scale_y = 1.2 if session.tasks else 1.6
        if session.tasks:
            row.operator("vggt.solve", text="Solve after This", icon="ADD")
        else:
            row.operator("vggt.solve", icon="TRACKER")
        draw_tasks(layout, width)
        draw_notices(layout, width, lambda notice: True)


class VGGT_PT_options(SubPanel, bpy.types.Panel):
    """How to solve and what to bring in."""

    bl_label = "Options"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        narrow = is_narrow(context)
        layout.use_property_split = not narrow
        layout.use_property_decorate = False
        settings = context.scene.vggt
        column = layout.column()
        column.prop(settings, "kind")
        model = column.row()
        model.active = settings.engine != "colmap"
        model.prop(settings, "model", placeholder="Best")
        if settings.engine != "colmap":
            column.prop(settings, "tracks")
        column.prop(settings, "device")
        file = column.row()
        file.active = settings.drawn_mask is None
        file.prop(settings, "mask")
        column.prop(settings, "drawn_mask", text="Drawn" if narrow else "Drawn Mask")
        column = layout.column(heading="Bring In")
        column.prop(settings, "use_points")
        column.prop(settings, "use_planes")
        layout.prop(settings, "placement", text="Scene")


class VGGT_PT_results(Tab, bpy.types.Panel):
    """Reconstructions on disk that belong to this scene."""

    bl_label = "Results"
    bl_parent_id = "VGGT_PT_shot"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.vggt
        row = layout.row()
        row.template_list("VGGT_UL_results", "", settings, "results", settings, "active_result", rows=3)
        buttons = row.column(align=True)
        buttons.operator("vggt.import_reconstruction", text="", icon="ADD").filepath = ""
        buttons.operator("vggt.remove_result", text="", icon="REMOVE")
        buttons.operator("vggt.delete_result", text="", icon="TRASH")
        result = selected_result(context)
        if result is None:
            return
        column = layout.column(align=True)
        placed = iface_("{} of {} frames placed").format(result.registered, result.total)
        column.label(text=placed, translate=False)
        if result.residual >= 0:
            column.label(text=iface_("Error {:.2f} px").format(result.residual), translate=False)
        column.label(text=f"{result.engine.upper()}, {result.date}", translate=False)
        narrow = is_narrow(context)
        buttons = layout.column(align=True) if narrow else layout.row(align=True)
        for text, icon, existing, placement in IMPORTS:
            again = buttons.operator("vggt.import_reconstruction", text=text, icon=icon)
            again.filepath = bpy.path.abspath(result.folder)
            again.existing, again.placement = existing, placement
        buttons.operator("vggt.open_folder", text="Open Folder" if narrow else "", icon="FILE_FOLDER")


def _draw_missing_backend(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    try:
        seen_interpreter(context)
        message = ""
    except JobError as failure:
        message = failure.message
    if not message and not setup.running:
        return
    box = layout.box()
    width = context.region.width - 20
    if message and not setup.running:
        draw_wrapped(box, message, width, icon="ERROR")
    if setup.running or not runs_here(context):
        draw_setup(box, context, width)
    box.operator("preferences.addon_show", text="Preferences", icon="PREFERENCES").module = PACKAGE


def _draw_engine_note(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Why the chosen engine cannot run, before anybody tries."""
    try:
        problem = obstacle(context)
    except JobError:  # said at the top
        return
    if problem is not None:
        box = layout.box()
        draw_wrapped(box, problem, context.region.width - 20, icon="ERROR")
        box.operator("preferences.addon_show", text="Preferences", icon="PREFERENCES").module = PACKAGE


def _draw_source(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    column = layout.column()
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
