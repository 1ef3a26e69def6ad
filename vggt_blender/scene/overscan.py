"""The camera that renders what the lens bends inwards: a little wider than the shot's own, over the same pixels.

A barrel lens shows, at the plate's edges, more than a straight camera with the same focal length does. Rendered through
a wider camera at the plate's own resolution, and bent afterwards, the render covers the plate to its corners.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ..exchange.reconstruction import Frame
from ..geometry.stmaps import straight_picture
from .cameras import SHOT_CAMERA
from .collection import Holder
from .lenses import lens_of

RENDER_CAMERA = "render camera"


def overscan_of(frames: Sequence[Frame]) -> float:
    """How much wider than the plate the straight picture of registered `frames` is, the larger of both sides; 1 where
    the plate holds all of it."""
    factors = [1.0]
    for frame in frames:
        width, height = straight_picture(lens_of(frame), frame.width, frame.height).size
        factors += [width / frame.width, height / frame.height]
    return max(factors)


def use_render_camera(scene: bpy.types.Scene, holder: Holder, factor: float) -> None:
    """Render `scene` through a camera that is `factor` times as wide as the shot's and follows it, in lens and place;
    at 1 through the shot's own, where `scene` used the wider one so far."""
    shot = holder.find(SHOT_CAMERA)
    wider = holder.find(RENDER_CAMERA)
    if shot is None:
        return
    if factor <= 1.0:
        if wider is not None and scene.camera == wider:
            scene.camera = shot
        holder.keep_only(RENDER_CAMERA, set())
        return
    data = shot.data.copy()
    data.animation_data_clear()
    data.name = f"{holder.name} {RENDER_CAMERA}"
    if wider is None:
        wider, _ = holder.ensure(RENDER_CAMERA, data.name, data)
        wider.parent = shot
    else:
        old, wider.data = wider.data, data
        bpy.data.cameras.remove(old)
    for path in ("lens", "shift_x", "shift_y"):
        _follow(data, shot.data, path, factor)
    for background in data.background_images:
        background.scale /= factor
    scene.camera = wider


def _follow(data: bpy.types.Camera, shot: bpy.types.Camera, path: str, factor: float) -> None:
    """Drive `path` of `data` by that of `shot`, divided: a zoom stays a zoom, and the artist's changes count."""
    driver = data.driver_add(path).driver
    variable = driver.variables.new()
    variable.name = "shot"
    target = variable.targets[0]
    target.id_type, target.id, target.data_path = "CAMERA", shot, path
    driver.expression = f"shot / {factor:.9g}"
