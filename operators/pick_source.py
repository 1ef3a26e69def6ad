"""Choose what to solve: a folder, several pictures or a video."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, StringProperty

from ..vggt_blender.exchange.suffixes import VIDEO_SUFFIXES
from .pump import ask_backend
from .sources import fit_range, source_inputs, whole_sequence


class VGGT_OT_pick_source(bpy.types.Operator):
    """Choose a folder of pictures, several pictures, or a video. A folder needs no file selected"""

    bl_idname = "vggt.pick_source"
    bl_label = "Choose Source"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    use_sequence: BoolProperty(
        name="Detect Sequences",
        description="One selected picture with a frame number stands for all frames of its sequence",
        default=True,
    )
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        start = _start_folder(context.scene.vggt)
        if start is not None:  # told nothing, the browser begins with the .blend's name as the picked file
            self.directory = str(start)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        column.label(text="Nothing selected: the folder")
        column.label(text="Or pictures, or one video")
        self.layout.prop(self, "use_sequence")

    def execute(self, context: bpy.types.Context) -> set[str]:
        if not self.directory:
            self.report({"ERROR"}, "Nothing chosen.")
            return {"CANCELLED"}
        folder = Path(bpy.path.abspath(self.directory))
        # the browser hands on a name that was picked in another folder before
        names = [entry.name for entry in self.files if entry.name and (folder / entry.name).is_file()]
        if self.use_sequence and len(names) == 1 and Path(names[0]).suffix.lower() not in VIDEO_SUFFIXES:
            names = whole_sequence(folder, names[0])
        set_source(context.scene.vggt, self.directory, names)
        ask_backend(context)
        return {"FINISHED"}


def set_source(settings: bpy.types.PropertyGroup, directory: str, names: list[str]) -> None:
    """Make the `names` in `directory` the source; one name is itself the source, none means the folder."""
    settings.source = bpy.path.native_pathsep(directory) + (names[0] if len(names) == 1 else "")
    if len(names) > 1:
        for name in names:
            settings.files.add().name = name
    if settings.use_range:
        fit_range(settings)


def _start_folder(settings: bpy.types.PropertyGroup) -> Path | None:
    """Where to look first: where the source is, else beside the .blend; None where there is neither."""
    if settings.source:
        source = Path(source_inputs(settings)[0])
        folder = source if source.is_dir() else source.parent
        if folder.is_dir():
            return folder
    return Path(bpy.data.filepath).parent if bpy.data.filepath else None
