"""The usual scene for putting things into a shot: rendered over its plate, with a floor that only catches shadows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np

from ..exchange.reconstruction import Frame
from ..geometry.stmaps import st_coordinates, straight_picture
from .collection import ID, Holder
from .depth_planes import ROLE as PLANE
from .lenses import lens_of
from .overscan import overscan_of, use_render_camera
from .point_cloud import DENSE, SPARSE
from .rolling_shutter import roll
from .versions import choose_node_option, compositor_tree, present_compositor

CATCHER = "shadow catcher"
OVER = "CompositorNodeAlphaOver"


def is_set_up(scene: bpy.types.Scene, holder: Holder) -> bool:
    """Whether the compositor of `scene` has this shot's nodes."""
    return bool(_own_nodes(present_compositor(scene), holder))


def set_up_compositing(
    scene: bpy.types.Scene,
    holder: Holder,
    clip: bpy.types.MovieClip,
    frames: Sequence[Frame],
    size: float,
    readout: float = 0.0,
) -> bool:
    """Transparent film, a shadow catcher of `size` on the floor, and the render over the plate in the compositor.

    The shot's points and planes are left out of renders: they show what the plate shows already. Where the lens of
    `frames`, the registered ones, bends the plate, the render is bent alike, as the first of them is; where it bends
    inwards, the scene renders through a wider camera, so that the corners are covered. The lines of a render are read
    within `readout` of a frame, as `roll` takes it, where the plate's were. What an earlier call made is
    brought up to date where it stands. Returns False where the compositor was in use otherwise: the nodes are then
    there, for the artist to connect.
    """
    scene.render.film_transparent = True
    for thing in list(holder.collection.all_objects):  # hiding one makes Blender build this list anew
        role = str(thing.get("vggt_role", ""))
        if role in (DENSE, SPARSE) or role.startswith(PLANE):
            thing.hide_render = True
    _build_catcher(holder, size)
    factor = overscan_of(frames)
    use_render_camera(scene, holder, factor)
    roll(scene, holder, readout * factor)
    bend = _bend_map(holder, frames[0], factor)
    earlier = present_compositor(scene)
    over = next((node for node in _own_nodes(earlier, holder) if node.bl_idname == OVER), None)
    if over is not None:
        for node in _own_nodes(earlier, holder):
            if node != over:
                earlier.nodes.remove(node)
        _fill(earlier, over, scene, clip, bend, holder)
        return True
    tree, output = compositor_tree(scene, f"{holder.name} compositing")
    over = _node(tree, OVER, 0, 0, holder)
    _fill(tree, over, scene, clip, bend, holder)
    if output is not None:
        tree.links.new(over.outputs["Image"], output)
    return output is not None


def _own_nodes(tree: Any, holder: Holder) -> list[Any]:
    """The nodes in `tree` (None: none) that a set-up of this shot made."""
    return [] if tree is None else [node for node in tree.nodes if node.get(ID) == holder.collection[ID]]


def _node(tree: Any, kind: str, x: float, y: float, holder: Holder) -> Any:
    made = tree.nodes.new(kind)
    made.location = (x, y)
    made[ID] = holder.collection[ID]
    return made


def _bend_map(holder: Holder, frame: Frame, factor: float) -> bpy.types.Image | None:
    """An ST-map that bends a render, `factor` times as wide as the plate, as the lens of `frame` does, in the .blend
    itself; None for a straight lens."""
    lens = lens_of(frame)
    if lens.distortion is None:
        return None
    width, height = frame.width, frame.height
    pixels = straight_picture(lens, width, height, overscan=False).redistort_map()
    middle = np.array([width / 2, height / 2])
    pixels = (pixels - middle) / factor + middle
    picture = np.zeros((height, width, 4), np.float32)
    picture[..., :2] = np.nan_to_num(st_coordinates(pixels, (width, height)), nan=-1.0)
    picture[..., 2:] = 1.0
    name = f"{holder.name} lens"
    image = next((image for image in bpy.data.images if image.get(ID) == holder.collection[ID]), None)
    if image is None:
        image = bpy.data.images.new(name, width, height, alpha=True, float_buffer=True, is_data=True)
        image[ID] = holder.collection[ID]
    image.scale(width, height)
    image.pixels.foreach_set(picture[::-1].ravel())
    image.pack()
    return image


def _build_catcher(holder: Holder, size: float) -> None:
    """A square on the world's floor, which is where the alignment tools bring the shot's."""
    mesh = bpy.data.meshes.new(CATCHER)
    catcher, new = holder.ensure(CATCHER, f"{holder.name} shadow catcher", mesh)
    if new:
        half = size / 2
        mesh.from_pydata([(-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0)], [], [(0, 1, 2, 3)])
        catcher.is_shadow_catcher = True
        catcher.display_type = "WIRE"


def _fill(
    tree: Any,
    over: Any,
    scene: bpy.types.Scene,
    clip: bpy.types.MovieClip,
    bend: bpy.types.Image | None,
    holder: Holder,
) -> None:
    """Nodes that lead the plate and the render, bent by the map `bend`, into the node `over`."""
    plate = _node(tree, "CompositorNodeMovieClip", -600, 200, holder)
    plate.clip = clip
    fitted = _node(tree, "CompositorNodeScale", -300, 200, holder)
    choose_node_option(fitted, "space", "RENDER_SIZE", "Type", "Render Size")
    tree.links.new(plate.outputs["Image"], fitted.inputs["Image"])
    layers = _node(tree, "CompositorNodeRLayers", -600, -200, holder)
    layers.scene = scene
    front = layers.outputs["Image"]
    if bend is not None:
        # Blender's own Movie Distortion node moves the picture where a lens bends its sides unevenly (4.5, 5.0)
        stored = _node(tree, "CompositorNodeImage", -900, -400, holder)
        smaller = _node(tree, "CompositorNodeScale", -600, -400, holder)
        stored.image = bend
        choose_node_option(smaller, "space", "RENDER_SIZE", "Type", "Render Size")
        tree.links.new(stored.outputs["Image"], smaller.inputs["Image"])
        lens = _node(tree, "CompositorNodeMapUV", -300, -200, holder)
        tree.links.new(front, lens.inputs["Image"])
        tree.links.new(smaller.outputs["Image"], lens.inputs["UV"])
        front = lens.outputs["Image"]
    pictures = [socket for socket in over.inputs if socket.type == "RGBA"]  # the lower one first, in every version
    tree.links.new(fitted.outputs["Image"], pictures[0])
    tree.links.new(front, pictures[1])
