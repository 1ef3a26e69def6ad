"""A reconstruction into a scene, as the scene's settings ask."""

from __future__ import annotations

import bpy

from ..vggt_blender.exchange.reconstruction import Reconstruction
from ..vggt_blender.scene.build import SceneOptions, SceneResult, build_scene
from ..vggt_blender.scene.collection import find_collection
from .placement import hide_startup_cube, is_in_use
from .results import list_result


def build_result(
    reconstruction: Reconstruction, scene: bpy.types.Scene, placement: str, *, update: bool = True
) -> SceneResult:
    """Build what the settings of `scene` ask for. `placement` is ``this``, ``new`` or ``keep``.

    With `update`, the objects of an earlier solve of the same source in `scene` are filled anew and stay the same
    objects. A new scene gets objects of its own, lists the reconstruction as well, and takes the place of `scene` in
    its windows. In a scene that holds nothing but Blender's start-up objects, the cube is hidden. Raises `JobError`.
    """
    settings = scene.vggt
    planes = "auto" if settings.use_planes else "none"
    options = SceneOptions(setup_scene=placement, points=settings.use_points, planes=planes)
    untouched = placement == "this" and not is_in_use(scene)
    present = find_collection(reconstruction, scene) if update and placement != "new" else None
    result = build_scene(reconstruction, options, scene, present)
    if untouched:
        hide_startup_cube(scene)
    if result.scene != scene:
        list_result(result.scene, reconstruction)
        for window in bpy.context.window_manager.windows:
            if window.scene == scene:
                window.scene = result.scene
    return result
