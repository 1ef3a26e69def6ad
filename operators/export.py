"""The shot for other programs, as it stands in the scene: what can be written without the backend."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..vggt_blender.delivery.formats import export
from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.exchange.placing import placed
from ..vggt_blender.scene.collection import Holder
from ..vggt_blender.scene.export import SUFFIXES, export_scene, missing_exporter
from .aligning import current_shot
from .shots import NeedsShot, shot_in_the_scene

FORMATS = (
    ("CHAN", "Camera (.chan)", "The camera's path for Nuke and others: position, rotation, field of view"),
    ("USD", "USD", "Cameras and track empties, as Blender writes them"),
    ("ALEMBIC", "Alembic", "Cameras and track empties, as Blender writes them"),
    ("PLY", "Points (.ply)", "The colored points"),
    ("STMAP", "ST-maps", "The lens: a folder with 32-bit maps that straighten the plate and bend it back"),
)
NAMED = 5
ENDINGS = {"CHAN": ".chan", "PLY": ".ply", "STMAP": "", **SUFFIXES}


class VGGT_OT_export(NeedsShot, bpy.types.Operator):
    """Write the shot for other programs, with the alignment that it has in the scene"""

    bl_idname = "vggt.export"
    bl_label = "Export Shot"
    bl_options = {"REGISTER"}

    filepath: StringProperty(name="File", description="Where to write it", subtype="FILE_PATH", options={"SKIP_SAVE"})
    format: EnumProperty(name="Format", description="What to write", items=FORMATS, options={"SKIP_SAVE"})
    use_planes: BoolProperty(name="Depth Planes", description="USD and Alembic: the depth planes, too")
    check_existing: BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        text = next(text for name, _, text in FORMATS if name == properties.format)
        return f"{text}. As it stands in the scene"

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        reason = missing_exporter(self.format) if self.format in SUFFIXES else ""
        if reason:
            self.report({"ERROR"}, f"{reason}.")
            return {"CANCELLED"}
        base = Path(bpy.data.filepath).parent if bpy.data.filepath else Path.home()
        title = bpy.path.clean_name(current_shot(context).name)
        self.filepath = self.filepath or str(base / f"{title}{ENDINGS[self.format] or '_lens'}")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, _context: bpy.types.Context) -> None:
        if self.format in SUFFIXES:
            self.layout.prop(self, "use_planes")

    def work(self, context: bpy.types.Context, shot: Holder) -> None:
        if not self.filepath:
            raise JobError("usage", "Name the file to write.")
        path = Path(bpy.path.abspath(self.filepath))
        if ENDINGS[self.format] and path.suffix.lower() != ENDINGS[self.format]:
            path = path.with_name(path.name + ENDINGS[self.format])
        if self.format in SUFFIXES:
            left_out = export_scene(context, shot, self.format, path, planes=self.use_planes)
            if left_out:
                names = ", ".join(left_out[:NAMED]) + (f" and {len(left_out) - NAMED} more" if left_out[NAMED:] else "")
                self.report({"WARNING"}, f"Not in '{path}', as their collection is switched off or locked: {names}")
                return
        else:
            export(placed(*shot_in_the_scene(shot)), self.format.lower(), path, overwrite=bool(ENDINGS[self.format]))
        self.report({"INFO"}, f"Wrote '{path}'")
