"""Files dropped into the 3D View: a reconstruction is imported, pictures and videos become the source."""

from pathlib import Path

import bpy
from bpy.props import CollectionProperty, StringProperty

from .pick_source import set_source
from .sources import PICTURES, VIDEOS


def _over_3d_view(context: bpy.types.Context) -> bool:
    return context.area is not None and context.area.type == "VIEW_3D"


class VGGT_OT_drop_source(bpy.types.Operator):
    """Make these pictures or this video the source of the next solve. One picture of a sequence stands for all of it"""

    bl_idname = "vggt.drop_source"
    bl_label = "VGGT Source"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        names = [entry.name for entry in self.files if entry.name]
        if not self.directory or not names:
            self.report({"ERROR"}, "Nothing was dropped.")
            return {"CANCELLED"}
        videos = [name for name in names if name.lower().endswith(VIDEOS)]
        if videos and len(names) > 1:
            self.report({"ERROR"}, "Drop one video by itself, or pictures only.")
            return {"CANCELLED"}
        alone = not videos and len(names) == 1  # one picture shows nothing by itself: its folder is meant
        set_source(context.scene.vggt, self.directory, [] if alone else names)
        what = Path(self.directory).name if alone else f"{len(names)} pictures" if not videos else names[0]
        self.report({"INFO"}, f"Source: {what}")
        return {"FINISHED"}


class VGGT_FH_source(bpy.types.FileHandler):
    """Pictures and videos."""

    bl_idname = "VGGT_FH_source"
    bl_label = "VGGT Source"
    bl_import_operator = "vggt.drop_source"
    bl_file_extensions = ";".join((*PICTURES, *VIDEOS))

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return _over_3d_view(context)


class VGGT_FH_reconstruction(bpy.types.FileHandler):
    """A reconstruction: its document, or a folder called NAME.vggt."""

    bl_idname = "VGGT_FH_reconstruction"
    bl_label = "VGGT Reconstruction"
    bl_import_operator = "vggt.import_reconstruction"
    bl_file_extensions = ".json;.vggt"

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return _over_3d_view(context)
