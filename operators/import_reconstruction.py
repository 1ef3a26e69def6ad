"""Build the scene from a reconstruction on disk: no backend, no network."""

from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.exchange.reconstruction import load_reconstruction
from .importing import build_result
from .placement import AsksPlacement
from .results import list_result
from .session import session


class VGGT_OT_import_reconstruction(AsksPlacement, bpy.types.Operator):
    """Build cameras, points and depth planes from a reconstruction folder"""

    bl_idname = "vggt.import_reconstruction"
    bl_label = "Import Reconstruction"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(
        name="Reconstruction",
        description="The reconstruction's folder, or the reconstruction.json in it",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    existing: EnumProperty(
        name="Existing Shot",
        description="What to do where this scene holds an earlier solve of the same pictures",
        items=(
            ("new", "Keep Both", "Build the result beside it, in a collection of its own"),
            (
                "update",
                "Update",
                "Fill the same camera, points and planes anew: what hangs on them, their constraints, materials, names "
                "and the alignment stay",
            ),
        ),
        options={"SKIP_SAVE"},
    )
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        if properties.existing == "update":
            return "Fill the shot's own camera, points and planes with this result; what hangs on them stays"
        return "Build cameras, points and depth planes from a reconstruction folder"

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        if self.filepath:
            return self.ask(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        if self.asked:
            super().draw(context)
        else:
            self.layout.prop(self, "placement")
            self.layout.prop(self, "existing")

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        try:
            reconstruction = load_reconstruction(Path(bpy.path.abspath(self.filepath)))
            result = build_result(
                reconstruction, scene, self.settled_placement(scene), update=self.existing == "update"
            )
        except JobError as failure:
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        list_result(scene, reconstruction)
        session.forget_waiting(reconstruction.folder)
        for warning in result.warnings:
            self.report({"WARNING"}, warning)
        return {"FINISHED"}


def draw_menu(self: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry of File > Import."""
    self.layout.operator(VGGT_OT_import_reconstruction.bl_idname, text="VGGT Reconstruction (reconstruction.json)")
