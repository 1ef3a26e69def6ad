"""A reconstruction into a scene, as the scene's settings ask."""

from __future__ import annotations

import contextlib

import bpy

from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.exchange.reconstruction import Reconstruction
from ..vggt_blender.exchange.undistorted import with_straight_plates
from ..vggt_blender.scene.build import SceneOptions, SceneResult, build_scene
from ..vggt_blender.scene.clip import build_clip, find_clip
from ..vggt_blender.scene.collection import Holder, find_collection
from ..vggt_blender.scene.compositing import is_set_up
from ..vggt_blender.scene.timeline import Timeline
from .placement import hide_startup_cube, is_in_use
from .results import list_result
from .set_up_compositing import set_up_shot
from .shots import shot_reconstruction


def build_result(
    reconstruction: Reconstruction, scene: bpy.types.Scene, placement: str, *, update: bool = True
) -> SceneResult:
    """Build what the settings of `scene` ask for. `placement` is ``this``, ``new`` or ``keep``.

    With `update`, the objects of an earlier solve of the same source in `scene` are filled anew and stay the same
    objects. A new scene gets objects of its own, lists the reconstruction as well, and takes the place of `scene` in
    its windows. In a scene that holds nothing but Blender's start-up objects, the cube is hidden, and 3D Views look
    through the shot's camera. Raises `JobError`.
    """
    settings = scene.vggt
    planes = "auto" if settings.use_planes else "none"
    options = SceneOptions(setup_scene=placement, points=settings.use_points, planes=planes)
    untouched = placement == "this" and not is_in_use(scene)
    present = find_collection(reconstruction, scene) if update and placement != "new" else None
    result = build_scene(reconstruction, options, scene, present)
    if present is not None:
        _renew_tools(scene, Holder(present))
    if untouched:
        hide_startup_cube(scene)
        _look_through_camera(scene)
    if result.scene != scene:
        list_result(result.scene, reconstruction)
        for window in bpy.context.window_manager.windows:
            if window.scene == scene:
                window.scene = result.scene
    return result


def _look_through_camera(scene: bpy.types.Scene) -> None:
    """In the 3D Views that show `scene`, with the points and planes in their own colors, which Solid does not know."""
    for window in bpy.context.window_manager.windows:
        spaces = [area.spaces.active for area in window.screen.areas if area.type == "VIEW_3D"]
        for space in spaces if window.scene == scene else []:
            space.region_3d.view_perspective = "CAMERA"
            if space.shading.type == "SOLID":
                space.shading.type = "MATERIAL"


def _renew_tools(scene: bpy.types.Scene, shot: Holder) -> None:
    """Clip and compositing of the earlier solve have this one's plate and lens."""
    with contextlib.suppress(JobError):  # a plate that is gone has been said already
        if is_set_up(scene, shot):
            set_up_shot(scene, shot, shot_reconstruction(shot))
        elif find_clip(shot) is not None:
            plates = with_straight_plates(shot_reconstruction(shot))
            build_clip(shot, plates, Timeline.of(plates), scene)
