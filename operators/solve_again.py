"""Solve a bad range of a shot's frames again; every other frame stays as it is."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty

from ..vggt_blender.exchange.hand_tracks import HandTracks
from ..vggt_blender.exchange.job import FrameRange, Job, count_of
from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.exchange.reconstruction import Reconstruction, load_reconstruction
from ..vggt_blender.scene.clip_tracks import artists_tracks, clip_hand_tracks, shows
from ..vggt_blender.scene.collection import FOLDER
from ..vggt_blender.scene.quality import bad_ranges
from ..vggt_blender.scene.timeline import Timeline
from . import pump
from .aligning import current_shot, needs_shot
from .backend_setup import setup
from .drawn_mask import write_drawn_mask
from .go_to_frame import shot_quality
from .locations import interpreter, runs_here
from .session import notice_of, session
from .sources import source_inputs


class VGGT_OT_solve_again(bpy.types.Operator):
    """Solve a range of this shot's frames again, with more comparisons and between the other frames, which stay exactly
    as they are. Frames that do not get better keep their cameras"""

    bl_idname = "vggt.solve_again"
    bl_label = "Solve These Frames Again"
    bl_options = {"REGISTER"}

    first: IntProperty(name="First", description="First frame on the timeline to solve again", options={"SKIP_SAVE"})
    last: IntProperty(name="Last", description="Last frame on the timeline to solve again", options={"SKIP_SAVE"})
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
        return needs_shot(cls, shot_quality(context))

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        ranges = bad_ranges(shot_quality(context)[1])
        now = context.scene.frame_current
        if not self.properties.is_property_set("first"):
            near = min(ranges, key=lambda span: max(span[0] - now, now - span[1], 0), default=(now, now))
            self.first, self.last = near
        return context.window_manager.invoke_props_dialog(self, title=self.bl_label, confirm_text="Solve")

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        column.use_property_split = True
        column.prop(self, "first")
        column.prop(self, "last")

    def execute(self, context: bpy.types.Context) -> set[str]:
        shot, scene = current_shot(context), context.scene
        try:
            python = None if runs_here(context) else interpreter(context)
            result = load_reconstruction(bpy.path.abspath(str(shot.collection.get(FOLDER, ""))))
            job = job_again(scene.vggt, result, self.first, self.last)
            drawn = None
            if scene.vggt.drawn_mask is not None and shows_source(scene.vggt, job.inputs):
                drawn = write_drawn_mask(scene, job.inputs, _frames_of(result), job.output)
                job = replace(job, mask=drawn)
            title = f"{shot.name} {self.first}–{self.last}"
            task = session.start(python, job, title, scene, "keep", drawn)
        except JobError as failure:
            session.tell(notice_of(failure))
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        return pump.follow_task(self, task, self.wait)


def job_again(settings: bpy.types.PropertyGroup, reconstruction: Reconstruction, first: int, last: int) -> Job:
    """The frames `first` to `last` of the timeline as the backend wants them. Raises `JobError`."""
    timeline = Timeline.of(reconstruction)
    counts = [
        count for position, count in enumerate(_counts(reconstruction)) if first <= timeline.frame(position) <= last
    ]
    if not counts:
        raise JobError(
            "no_frames", f"This shot has no frame from {first} to {last}: it has {timeline.first} to {timeline.last}."
        )
    inputs, clip = reconstruction.inputs(), settings.clip
    by_hand = clip is not None and shows(clip, inputs) and any(artists_tracks(clip))
    return Job(
        inputs=inputs,
        output=str(reconstruction.folder),
        frames=FrameRange(min(counts), max(counts) + 1),
        mask=(bpy.path.abspath(settings.mask) or None) if shows_source(settings, inputs) else None,
        hand_tracks=clip_hand_tracks(clip, settings.id_data) if by_hand else HandTracks(),
        resolve=True,
    )


def shows_source(settings: bpy.types.PropertyGroup, inputs: tuple[str, ...]) -> bool:
    """Whether a shot made from `inputs` shows the panel's source, so that the panel's mask is one of it."""
    named = {Path(path) for path in source_inputs(settings)}
    return not settings.source or any({Path(path), Path(path).parent} & named for path in inputs)


def _counts(reconstruction: Reconstruction) -> list[int]:
    """What a `FrameRange` counts of each frame."""
    return [count_of(reconstruction.source.kind, frame.index, frame.number) for frame in reconstruction.frames]


def _frames_of(reconstruction: Reconstruction) -> FrameRange:
    """All of its frames: those that stay hold the others, and are masked as well."""
    counts = sorted(_counts(reconstruction))
    step = math.gcd(*(after - before for before, after in pairwise(counts))) or 1
    return FrameRange(counts[0], counts[-1] + 1, step)
