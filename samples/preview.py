"""Render a solved scene from behind its cameras: the path, the frusta, the point cloud and the depth planes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

from vggt_blender.exchange.reconstruction import Reconstruction
from vggt_blender.scene.filters import set_filter
from vggt_blender.scene.versions import get_modifier_input, node_material, set_modifier_input

SIZE = (1600, 900)
SAMPLES = 12
BACKGROUND = (0.012, 0.014, 0.018)
PATH_COLOR = (1.0, 0.42, 0.05)
FRUSTUM_COLOR = (0.15, 0.75, 1.0)
FRUSTA = 6
FRUSTUM_DEPTH = 0.072  # of the median distance to the points
DENSITY, LEAST_CONFIDENT, DOT, STRICT_EDGE = 0.5, 0.2, 0.55, 0.03


def render_preview(reconstruction: Reconstruction, blend: Path, picture: Path) -> None:
    """Open `blend`, the scene of `reconstruction` (a shot), and render `picture` (PNG) with Cycles."""
    with quiet():
        bpy.ops.wm.open_mainfile(filepath=str(blend))
        scene = bpy.context.scene
        solved = [frame for frame in reconstruction.frames if frame.registered]
        poses = [_pose(scene, frame.number or 1) for frame in solved]
        reach = _reach(poses)
        _thin_out(scene)
        _draw_cameras(scene, poses, [Path(frame.path) for frame in solved], reach)
        _look_from_behind(scene, poses, reach)
        _render(scene, picture)


@contextmanager
def quiet() -> Iterator[None]:
    """Blender's own prints to stdout, out of the way."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _pose(scene: bpy.types.Scene, number: int) -> Matrix:
    scene.frame_set(number)
    return scene.camera.matrix_world.copy()


def _reach(poses: Sequence[Matrix]) -> float:
    """The median distance from the cameras to the points."""
    eye = np.mean([pose.translation for pose in poses], axis=0)
    for thing in bpy.context.scene.objects:
        if thing.get("vggt_role") == "cloud":
            mesh = thing.data
            xyz = np.empty(3 * len(mesh.vertices), np.float32)
            mesh.attributes["position"].data.foreach_get("vector", xyz)
            turn = np.array(thing.matrix_world)
            points = xyz.reshape(-1, 3)[::50] @ turn[:3, :3].T + turn[:3, 3]
            return float(np.median(np.linalg.norm(points - eye, axis=1)))
    return 1.0


def _thin_out(scene: bpy.types.Scene) -> None:
    """Of the planes only the middle frame's, of the cloud a share in smaller dots: both are then told apart."""
    planes = [thing for thing in scene.objects if str(thing.get("vggt_role", "")).startswith("plane:")]
    for k, plane in enumerate(planes):
        plane.hide_render = k != len(planes) // 2
    for thing in scene.objects:
        if thing.get("vggt_role") == "root":
            set_filter(thing, "Edge Threshold", STRICT_EDGE)
            set_filter(thing, "Confidence", LEAST_CONFIDENT)
        if thing.get("vggt_role") == "sparse cloud":
            thing.hide_render = True
        if thing.get("vggt_role") == "cloud":
            modifier = thing.modifiers[0]
            set_modifier_input(modifier, "Density", DENSITY)
            set_modifier_input(modifier, "Radius", DOT * get_modifier_input(modifier, "Radius"))


def _emissive(name: str, color: Sequence[float], strength: float = 1.0) -> bpy.types.Material:
    material = node_material(name)
    nodes = material.node_tree.nodes
    emission, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    emission.inputs["Color"].default_value = (*color, 1.0)
    emission.inputs["Strength"].default_value = strength
    material.node_tree.links.new(emission.outputs[0], output.inputs["Surface"])
    return material


def _tube(name: str, lines: Sequence[Sequence[Vector]], radius: float, material: bpy.types.Material) -> None:
    """Polylines as tubes of `radius`."""
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 3
    for line in lines:
        spline = curve.splines.new("POLY")
        spline.points.add(len(line) - 1)
        for point, at in zip(spline.points, line, strict=True):
            point.co = (*at, 1.0)
    curve.materials.append(material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, curve))


def _draw_cameras(scene: bpy.types.Scene, poses: Sequence[Matrix], plates: Sequence[Path], reach: float) -> None:
    """The path through all cameras; for some of them the frustum with its plate."""
    _tube("path", [[pose.translation for pose in poses]], 0.0018 * reach, _emissive("path", PATH_COLOR, 1.5))
    corners = scene.camera.data.view_frame(scene=scene)
    scale = FRUSTUM_DEPTH * reach / abs(corners[0].z)
    lines = []
    for k in np.linspace(0, len(poses) - 1, FRUSTA).round().astype(int):
        apex = poses[k].translation
        rim = [poses[k] @ (corner * scale) for corner in corners]
        lines += [[*rim, rim[0]], *([apex, corner] for corner in rim)]
        _card(rim, plates[k])
    _tube("frusta", lines, 0.0009 * reach, _emissive("frusta", FRUSTUM_COLOR, 1.2))


def _card(corners: Sequence[Vector], plate: Path) -> None:
    """The picture `plate` on a quad; corners from the upper right, clockwise."""
    mesh = bpy.data.meshes.new("plate")
    mesh.from_pydata([tuple(corner) for corner in corners], [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new()
    for loop, uv in zip(layer.data, ((1, 1), (1, 0), (0, 0), (0, 1)), strict=True):
        loop.uv = uv
    material = _emissive("plate", (1, 1, 1))
    tree = material.node_tree
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load(str(plate))
    tree.links.new(texture.outputs["Color"], tree.nodes["Emission"].inputs["Color"])
    mesh.materials.append(material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("plate", mesh))


def _look_from_behind(scene: bpy.types.Scene, poses: Sequence[Matrix], reach: float) -> None:
    """A camera behind, above and to the right of the path, looking over it into the scene."""
    middle = sum((pose.translation for pose in poses), Vector()) / len(poses)
    ahead = sum((pose.to_3x3() @ Vector((0, 0, -1)) for pose in poses), Vector())
    ahead.z = 0.0
    ahead.normalize()
    side = ahead.cross(Vector((0, 0, 1)))
    eye = middle - 0.74 * reach * ahead + 0.43 * reach * side + Vector((0, 0, 0.55 * reach))
    target = middle + 0.5 * reach * ahead - 0.04 * reach * side + Vector((0, 0, 0.08 * reach))
    data = bpy.data.cameras.new("preview")
    data.lens, data.clip_start, data.clip_end = 34.0, 0.01 * reach, 100 * reach
    view = bpy.data.objects.new("preview", data)
    view.location = eye
    view.rotation_mode = "QUATERNION"
    view.rotation_quaternion = (target - eye).to_track_quat("-Z", "Y")
    scene.collection.objects.link(view)
    scene.camera = view


def _render(scene: bpy.types.Scene, picture: Path) -> None:
    world = bpy.data.worlds.new("preview")
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (*BACKGROUND, 1.0)
    scene.world = world
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.max_bounces = SAMPLES, False, 0
    scene.cycles.use_adaptive_sampling = False
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.resolution_percentage = 100
    scene.render.pixel_aspect_x = scene.render.pixel_aspect_y = 1.0
    scene.render.film_transparent = False
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(picture)
    bpy.ops.render.render(write_still=True)
