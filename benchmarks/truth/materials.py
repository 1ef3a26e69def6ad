"""Surfaces for Cycles: a generated picture, box-mapped in metres, under a second one of another period.

Two periods without a common multiple keep a large surface from repeating itself exactly, which would mislead matching.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np

from vggt_blender.scene.versions import node_material

from .textures import KINDS, Color, Picture, clouds

TEXTURE_SIZE = 1024


def as_image(name: str, picture: Picture) -> bpy.types.Image:
    """A packed image of `picture` (size, size, 3) sRGB 0..1."""
    size = picture.shape[0]
    image = bpy.data.images.new(name, size, size, float_buffer=False)
    rgba = np.ones((size, size, 4), np.float32)
    rgba[..., :3] = picture
    image.pixels.foreach_set(rgba[::-1].ravel())
    image.pack()
    return image


def surface(
    kind: str, seed: int, colors: Sequence[Color], meters: float = 3.0, *, roughness: float = 1.0, relief: float = 0.0
) -> bpy.types.Material:
    """A material with picture `kind` of textures.KINDS repeating every `meters`, shifted at random per object.

    Matt at a `roughness` of 1; `relief` metres of height between its darkest and brightest places shade it.
    """
    material = node_material(f"{kind}.{seed}")
    tree = material.node_tree
    coordinates = _coordinates(tree)
    base = _picture(tree, coordinates, as_image(f"{kind}.{seed}", KINDS[kind](TEXTURE_SIZE, seed, colors)), meters)
    if kind == "paint":
        color = base
    else:
        grime = clouds(512, seed + 70, 1.35)
        grime = np.repeat((0.55 + 0.9 * (grime - 0.5))[..., None] + 0.3, 3, axis=-1)
        second = _picture(tree, coordinates, as_image(f"grime.{seed}", np.clip(grime, 0, 1)), meters * 2.71828, 0.6)
        color = _multiply(tree, base, second)
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Specular IOR Level"].default_value = 0.0 if roughness >= 1.0 else 0.4
    tree.links.new(color, shader.inputs["Base Color"])
    if relief:
        bump = tree.nodes.new("ShaderNodeBump")
        bump.inputs["Distance"].default_value = relief
        tree.links.new(base, bump.inputs["Height"])
        tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return material


def depth_and_index() -> bpy.types.Material:
    """Emission of (Z depth in metres, object's pass index, 0): rendered unfiltered, it is the truth of a pixel."""
    material = node_material("truth")
    tree = material.node_tree
    camera = tree.nodes.new("ShaderNodeCameraData")
    thing = tree.nodes.new("ShaderNodeObjectInfo")
    combine = tree.nodes.new("ShaderNodeCombineColor")
    emission = tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(camera.outputs["View Z Depth"], combine.inputs[0])
    tree.links.new(thing.outputs["Object Index"], combine.inputs[1])
    tree.links.new(combine.outputs[0], emission.inputs["Color"])
    tree.links.new(emission.outputs[0], output.inputs["Surface"])
    return material


def background(name: str, strength: float, color: Sequence[float] = (0.0, 0.0, 0.0)) -> bpy.types.World:
    """A new world of one color."""
    world = bpy.data.worlds.new(name)
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    shader = world.node_tree.nodes["Background"]
    shader.inputs["Color"].default_value = (*color, 1.0)
    shader.inputs["Strength"].default_value = strength
    return world


def _coordinates(tree: Any) -> Any:
    """Object coordinates in metres, moved by up to 40 m at random per object."""
    where = tree.nodes.new("ShaderNodeTexCoord")
    thing = tree.nodes.new("ShaderNodeObjectInfo")
    shift = tree.nodes.new("ShaderNodeVectorMath")
    shift.operation = "MULTIPLY_ADD"
    shift.inputs[1].default_value = (40.0, 27.3, 33.1)
    tree.links.new(thing.outputs["Random"], shift.inputs[0])
    tree.links.new(where.outputs["Object"], shift.inputs[2])
    return shift.outputs[0]


def _picture(tree: Any, coordinates: Any, image: bpy.types.Image, meters: float, turn: float = 0.0) -> Any:
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = (1 / meters,) * 3
    mapping.inputs["Rotation"].default_value = (turn, turn * 0.7, turn * 1.3)
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    node.projection = "BOX"
    node.projection_blend = 0.15
    tree.links.new(coordinates, mapping.inputs["Vector"])
    tree.links.new(mapping.outputs[0], node.inputs["Vector"])
    return node.outputs["Color"]


def _multiply(tree: Any, first: Any, second: Any) -> Any:
    product = tree.nodes.new("ShaderNodeVectorMath")
    product.operation = "MULTIPLY"
    tree.links.new(first, product.inputs[0])
    tree.links.new(second, product.inputs[1])
    return product.outputs[0]
