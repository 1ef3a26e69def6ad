"""The main button: send the source to the backend."""

import bpy
from bpy.props import BoolProperty

from ..vggt_blender.exchange.job import FrameRange, Job
from ..vggt_blender.exchange.messages import JobError
from . import pump
from .backend_setup import setup
from .locations import interpreter, new_result_folder
from .placement import AsksPlacement
from .session import session
from .sources import source_inputs, source_title


class VGGT_OT_solve(AsksPlacement, bpy.types.Operator):
    """Solve cameras, points and depth from the source, then build the scene. Blender stays usable meanwhile"""

    bl_idname = "vggt.solve"
    bl_label = "Solve"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait",
        description="Return when the result is in the scene (scripts); without a window it always does",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.task is not None:
            cls.poll_message_set("A solve is running")
            return False
        if setup.running:
            cls.poll_message_set("The backend is being set up")
            return False
        if not context.scene.vggt.source:
            cls.poll_message_set("Choose pictures or a video first")
            return False
        try:
            interpreter(context)
        except JobError as failure:
            cls.poll_message_set(failure.message)
            return False
        return True

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.placement = context.scene.vggt.placement
        return self.ask(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        if not self.properties.is_property_set("placement"):
            self.placement = scene.vggt.placement
        title = source_title(scene.vggt)
        try:
            job = job_of(scene.vggt, str(new_result_folder(context, title)))
            session.start(interpreter(context), job, title, scene, self.settled_placement(scene))
            pump.watch()
            if self.wait or bpy.app.background:
                session.wait()
        except JobError as failure:
            session.fail(failure)
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        return {"FINISHED"}


def job_of(settings: bpy.types.PropertyGroup, output: str) -> Job:
    """The settings as the backend wants them."""
    frames = FrameRange(settings.first, settings.last + 1, settings.step) if settings.use_range else FrameRange()
    return Job(
        inputs=source_inputs(settings),
        output=output,
        kind=settings.kind,
        engine=settings.engine,
        device=settings.device,
        frames=frames,
        mask=bpy.path.abspath(settings.mask) or None,
    )
