"""The usual scene for putting things into a shot: rendered over its plate, with a floor that only catches shadows."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from ..exchange.reconstruction import Frame
from ..geometry.stmaps import st_coordinates, straight_picture
from .collection import ID, Holder
from .depth_planes import ROLE as PLANE
from .lenses import lens_of
from .point_cloud import DENSE, SPARSE
from .versions import choose_node_option, compositor_tree

CATCHER = "shadow catcher"


def set_up_compositing(
    scene: bpy.types.Scene, holder: Holder, clip: bpy.types.MovieClip, frame: Frame, size: float
) -> bool:
    """Transparent film, a shadow catcher of `size` on the floor, and the render over the plate in the compositor.

    The shot's points and planes are left out of renders: they show what the plate shows already. Where the lens of
    `frame`, a registered one, bends the plate, the render is bent alike; beyond the edge of the render there is nothing
    to bend in. Returns False where the scene's compositor was in use: the nodes are then there, for the artist to
    connect.
    """
    scene.render.film_transparent = True
    for thing in list(holder.collection.all_objects):  # hiding one makes Blender build this list anew
        role = str(thing.get("vggt_role", ""))
        if role in (DENSE, SPARSE) or role.startswith(PLANE):
            thing.hide_render = True
    _build_catcher(holder, size)
    tree, output = compositor_tree(scene, f"{holder.name} compositing")
    result = _over_plate(tree, scene, clip, _bend_map(holder, frame))
    if output is not None:
        tree.links.new(result, output)
    return output is not None


def _bend_map(holder: Holder, frame: Frame) -> bpy.types.Image | None:
    """An ST-map that bends a render as the lens of `frame` does, in the .blend itself; None for a straight lens."""
    lens = lens_of(frame)
    if lens.distortion is None:
        return None
    width, height = frame.width, frame.height
    pixels = straight_picture(lens, width, height, overscan=False).redistort_map()
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


def _over_plate(tree: Any, scene: bpy.types.Scene, clip: bpy.types.MovieClip, bend: bpy.types.Image | None) -> Any:
    """Nodes that lay the render, bent by the map `bend`, over the plate; returns the socket with the picture."""

    def node(kind: str, x: float, y: float) -> Any:
        made = tree.nodes.new(kind)
        made.location = (x, y)
        return made

    plate = node("CompositorNodeMovieClip", -600, 200)
    plate.clip = clip
    fitted = node("CompositorNodeScale", -300, 200)
    choose_node_option(fitted, "space", "RENDER_SIZE", "Type", "Render Size")
    tree.links.new(plate.outputs["Image"], fitted.inputs["Image"])
    layers = node("CompositorNodeRLayers", -600, -200)
    layers.scene = scene
    front = layers.outputs["Image"]
    if bend is not None:
        # Blender's own Movie Distortion node moves the picture where a lens bends its sides unevenly (4.5, 5.0)
        stored, smaller = node("CompositorNodeImage", -900, -400), node("CompositorNodeScale", -600, -400)
        stored.image = bend
        choose_node_option(smaller, "space", "RENDER_SIZE", "Type", "Render Size")
        tree.links.new(stored.outputs["Image"], smaller.inputs["Image"])
        lens = node("CompositorNodeMapUV", -300, -200)
        tree.links.new(front, lens.inputs["Image"])
        tree.links.new(smaller.outputs["Image"], lens.inputs["UV"])
        front = lens.outputs["Image"]
    over = node("CompositorNodeAlphaOver", 0, 0)
    pictures = [socket for socket in over.inputs if socket.type == "RGBA"]  # the lower one first, in every version
    tree.links.new(fitted.outputs["Image"], pictures[0])
    tree.links.new(front, pictures[1])
    return over.outputs["Image"]
