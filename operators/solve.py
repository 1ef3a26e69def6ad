"""The main button: send the source to the backend."""

import math
from dataclasses import replace

import bpy
from bpy.props import BoolProperty

from ..vggt_blender.exchange.job import FrameRange, Job
from ..vggt_blender.exchange.known import Distance, Known
from ..vggt_blender.exchange.messages import JobError
from . import pump
from .backend_setup import setup
from .check import check
from .drawn_mask import write_drawn_mask
from .locations import interpreter, new_result_folder, runs_here, seen_interpreter
from .placement import AsksPlacement
from .session import notice_of, session
from .sources import source_inputs, source_title
from .task import Home
from .use_clip_tracks import hand_tracks_of


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
        if setup.running:
            cls.poll_message_set("The backend is being set up")
            return False
        if not context.scene.vggt.source:
            cls.poll_message_set("Choose pictures or a video first")
            return False
        try:
            problem = obstacle(context)
        except JobError as failure:
            problem = failure.message
        if problem is not None:
            cls.poll_message_set(problem)
        return problem is None

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.placement = context.scene.vggt.placement
        return self.ask(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        if not self.properties.is_property_set("placement"):
            self.placement = scene.vggt.placement
        title = source_title(scene.vggt)
        taken = {task.job.output for task in session.tasks}
        try:
            job = job_of(scene.vggt, str(new_result_folder(context, title, taken)))
            if scene.vggt.drawn_mask is not None:
                job = replace(job, mask=write_drawn_mask(scene, job.frames, job.output))
            python = None if runs_here(context) else interpreter(context)
            task = session.start(python, job, title, scene, self._placement(scene))
        except JobError as failure:
            session.tell(notice_of(failure))
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        return pump.follow_task(self, task, self.wait)

    def _placement(self, scene: bpy.types.Scene) -> str:
        """A scene that waits for another result is no empty one any more."""
        waits = any(task.home == Home.of(scene) for task in session.tasks)
        return "keep" if waits and self.placement == "ask" and not self.asked else self.settled_placement(scene)


def obstacle(context: bpy.types.Context) -> str | None:
    """Why the chosen engine cannot run, as far as it is known. Raises `JobError` where there is no backend."""
    settings = context.scene.vggt
    return check.obstacle(seen_interpreter(context), settings.engine, model_of(settings) or "")


def model_of(settings: bpy.types.PropertyGroup) -> str | None:
    """The chosen model, by name or file; None: the best one on this machine, or an engine without models."""
    return bpy.path.abspath(settings.model) or None if settings.engine != "colmap" else None


def job_of(settings: bpy.types.PropertyGroup, output: str) -> Job:
    """The settings as the backend wants them."""
    frames = FrameRange(settings.first, settings.last + 1, settings.step) if settings.use_range else FrameRange()
    return Job(
        inputs=source_inputs(settings),
        output=output,
        kind=settings.kind,
        engine=settings.engine,
        model=model_of(settings),
        device=settings.device,
        frames=frames,
        mask=bpy.path.abspath(settings.mask) or None,
        refine=settings.known.refine and settings.engine != "colmap",
        smooth=settings.known.smooth_budget if settings.known.smooth else 0.0,
        known=known_of(settings.known),
        hand_tracks=hand_tracks_of(settings),
    )


def known_of(settings: bpy.types.PropertyGroup) -> Known:
    """What the panel says of the shot. Raises `JobError` for what contradicts itself."""
    lens = settings.lens
    distance = None
    if settings.use_distance:
        distance = Distance(str(settings.distance_first), str(settings.distance_last), settings.distance)
    return Known(
        focal_px=settings.focal_px if lens == "px" else None,
        focal_mm=settings.focal_mm if lens == "mm" else None,
        sensor_mm=settings.sensor_mm if lens == "mm" else None,
        fov=math.degrees(settings.fov) if lens == "fov" else None,
        focal_is_start=settings.focal_is_start and lens != "unknown",
        distortion=tuple(settings.distortion) if settings.use_distortion else None,
        locked_off=settings.locked_off,
        zooms=settings.zooms,
        distance=distance,
        pixel_aspect=settings.pixel_aspect if settings.use_pixel_aspect else None,
    )
