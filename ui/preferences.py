"""The add-on's preferences: the backend's Python, what it can do, and where results go."""

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..operators.check import check
from ..operators.locations import PACKAGE, seen_interpreter
from ..operators.pump import ask_backend, watch
from ..vggt_blender.exchange.messages import JobError
from .backend import draw_setup
from .models import draw_models
from .notice import draw_notices
from .text import draw_wrapped

RUN_IN = (
    ("process", "Backend Process", "In a process of its own: nothing that happens there can take Blender along"),
    ("here", "This Python", "In Blender itself, for a Blender whose own Python has PyTorch or pycolmap installed"),
)


def _ask_backend(_preferences: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    ask_backend(context)


def _watch(_preferences: bpy.types.AddonPreferences, _context: bpy.types.Context) -> None:
    watch()


class VGGT_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = PACKAGE

    run_in: EnumProperty(name="Run In", description="What solves", items=RUN_IN, update=_ask_backend)
    interpreter: StringProperty(
        name="Backend Python",
        description="The Python that solves, in an environment of its own. Empty: the one that was set up here, else "
        "the one that 'make' prepared",
        subtype="FILE_PATH",
        update=_ask_backend,
    )
    idle_minutes: IntProperty(
        name="Keep Idle For",
        description="Minutes that a backend without work is kept, with its model in memory, so that the next solve "
        "begins at once; 0: until Blender closes",
        default=15,
        min=0,
        soft_max=120,
        update=_watch,
    )
    backend_folder: StringProperty(
        name="Set Up In",
        description="An empty folder for the backend's environment. Empty: the extension's own folder, which goes when "
        "the extension is removed",
        subtype="DIR_PATH",
    )
    wheels_folder: StringProperty(
        name="Wheels",
        description="A folder with all packages as wheels, uv's included, to set up without a network. Empty: they are "
        "fetched from the network",
        subtype="DIR_PATH",
    )
    results_folder: StringProperty(
        name="Results",
        description="Where reconstructions are saved. Empty: beside the saved .blend, else in the extension's own "
        "folder, which goes when the extension is removed",
        subtype="DIR_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "run_in")
        if self.run_in == "process":
            layout.prop(self, "interpreter", placeholder="Found by itself")
            layout.prop(self, "backend_folder", placeholder="The extension's own folder")
            layout.prop(self, "wheels_folder", placeholder="From the network")
            _draw_set_up(layout.column(), context)
        layout.separator()
        _draw_backend(layout.column(), context)
        draw_models(layout, context, context.region.width)
        draw_notices(layout, context.region.width, lambda notice: notice.about_setup)
        row = layout.row()
        row.prop(self, "idle_minutes", text="Keep Idle for Minutes")
        row.operator("vggt.free_memory", icon="X")
        layout.separator()
        layout.prop(self, "results_folder", placeholder="Beside the .blend")
        layout.operator("vggt.copy_diagnostics", icon="COPYDOWN")


def _draw_set_up(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    split = layout.split(factor=0.7)
    draw_setup(split, context, context.region.width * 0.65)
    split.operator("vggt.remove_backend", icon="TRASH")


def _draw_backend(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    row = layout.row()
    try:
        row.label(text=str(seen_interpreter(context)), icon="CHECKMARK", translate=False)
    except JobError as failure:
        draw_wrapped(row, failure.message, context.region.width * 0.45, icon="ERROR")
    row.operator("vggt.check_backend", text="Checking..." if check.running else "Check", icon="VIEWZOOM")
    if not check.findings:
        return
    box = layout.box().column(align=True)
    for finding in check.findings:
        split = box.split(factor=0.2)
        icon = "BLANK1" if finding.good is None else "CHECKMARK" if finding.good else "ERROR"
        split.label(text=finding.topic, icon=icon)
        draw_wrapped(split, finding.text, context.region.width * 0.75)
