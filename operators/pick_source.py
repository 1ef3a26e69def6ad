"""Choose what to solve: a folder, several pictures or a video."""

import bpy
from bpy.props import BoolProperty, CollectionProperty, StringProperty

from .pump import ask_backend


class VGGT_OT_pick_source(bpy.types.Operator):
    """Choose a folder of pictures, several pictures, or a video. A folder needs no file selected"""

    bl_idname = "vggt.pick_source"
    bl_label = "Choose Source"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        names = [entry.name for entry in self.files if entry.name]
        if not self.directory:
            self.report({"ERROR"}, "Nothing chosen.")
            return {"CANCELLED"}
        set_source(context.scene.vggt, self.directory, names)
        ask_backend(context)
        return {"FINISHED"}


def set_source(settings: bpy.types.PropertyGroup, directory: str, names: list[str]) -> None:
    """Make the `names` in `directory` the source; one name is itself the source, none means the folder."""
    settings.source = bpy.path.native_pathsep(directory) + (names[0] if len(names) == 1 else "")
    if len(names) > 1:
        for name in names:
            settings.files.add().name = name
