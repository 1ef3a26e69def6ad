"""Where the frames of a reconstruction sit on Blender's timeline, and the scene's settings that follow the plate."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from ..exchange.reconstruction import Frame, Reconstruction

LAST_FRAME = 1_048_574  # Blender's own bound


@dataclass(frozen=True)
class Timeline:
    """``shift`` is what is taken off the plate's numbers: 0, unless they do not fit Blender's timeline."""

    frames: tuple[Frame, ...]
    shot: bool
    shift: int

    @classmethod
    def of(cls, reconstruction: Reconstruction) -> Timeline:
        frames = reconstruction.frames
        shot = reconstruction.source.kind != "images"
        numbers = [frame.plate_number for frame in frames] if shot else []
        fits = not numbers or (min(numbers) >= 0 and max(numbers) <= LAST_FRAME)
        return cls(frames, shot, 0 if fits else min(numbers) - 1)

    def frame(self, position: int) -> int:
        """The scene frame of input frame `position`: a shot's own number, a still's place in the row from 1."""
        return self.frames[position].plate_number - self.shift if self.shot else position + 1

    @property
    def first(self) -> int:
        return min((self.frame(position) for position in range(len(self.frames))), default=1)

    @property
    def last(self) -> int:
        return max((self.frame(position) for position in range(len(self.frames))), default=1)


def frame_rate(fps: float) -> tuple[int, float]:
    """Blender's (fps, fps_base) for a rate: (24, 1.001) for 23.976."""
    whole = max(1, round(fps))
    base = whole / fps
    for exact in (1.0, 1.001):
        if abs(base - exact) < 2e-5:
            base = exact
    return whole, base


def set_up_scene(scene: bpy.types.Scene, timeline: Timeline, fps: float | None) -> None:
    """Give `scene` the plate's rate and range, render it at its full resolution, and show its colors as they are."""
    render = scene.render
    render.resolution_percentage = 100
    if fps is not None:
        render.fps, render.fps_base = frame_rate(fps)
    scene.frame_start, scene.frame_end = timeline.first, timeline.last
    scene.frame_current = timeline.first
    view = scene.view_settings
    view.view_transform, view.look = "Standard", "None"
    view.exposure, view.gamma = 0.0, 1.0


def switch_cameras(scene: bpy.types.Scene, cameras: dict[int, bpy.types.Object]) -> None:
    """Bind `cameras`, by scene frame, to markers; those that were there stay, and the new ones follow after them."""
    ours = set(cameras.values())
    for marker in [marker for marker in scene.timeline_markers if marker.camera in ours]:
        scene.timeline_markers.remove(marker)
    taken = [marker.frame for marker in scene.timeline_markers if marker.camera is not None]
    after = max(taken, default=0)
    for frame, camera in cameras.items():
        marker = scene.timeline_markers.new(camera.name, frame=after + frame)
        marker.camera = camera
    scene.frame_start = min([*taken, after + 1])
    scene.frame_end = after + max(cameras, default=1)
    scene.frame_current = after + min(cameras, default=1)
