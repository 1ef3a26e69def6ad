"""Going to a frame of a shot, with its camera as the scene's."""

from __future__ import annotations

import bpy

from .cameras import SHOT_CAMERA
from .collection import Holder
from .overscan import RENDER_CAMERA


def frame_camera(shot: Holder, name: str) -> bpy.types.Object | None:
    """The camera of the frame called `name`: the shot's one, or the still's own."""
    return shot.find(SHOT_CAMERA) or shot.find(f"camera:{name}")


def go_to_frame(scene: bpy.types.Scene, shot: Holder, name: str, frame: int) -> bool:
    """Make `frame`, called `name`, the current one and its camera the scene's. False where it has no camera.

    A scene that renders through the shot's wider camera goes on doing so. A still's frame is where its marker stands:
    several sets of stills follow each other on one timeline.
    """
    camera = frame_camera(shot, name)
    marker = next((m for m in scene.timeline_markers if camera is not None and m.camera == camera), None)
    scene.frame_set(frame if marker is None else marker.frame)
    if camera is not None and (scene.camera is None or scene.camera != shot.find(RENDER_CAMERA)):
        scene.camera = camera
    return camera is not None
