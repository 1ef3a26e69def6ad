"""Materials that give off the picture's own colors: a lit surface would be shaded a second time."""

from __future__ import annotations

from typing import Any

import bpy

from .versions import node_material

COLOR = "Col"
"""The color attribute of points and planes. Cycles renders one that is called "color" black (4.5 and 5.0)."""


def attribute_material(name: str, attribute: str = COLOR) -> bpy.types.Material:
    """Emission of a color attribute."""
    material, emission = _emissive(name)
    source = material.node_tree.nodes.new("ShaderNodeAttribute")
    source.attribute_name = attribute
    source.location = (-300, 0)
    material.node_tree.links.new(source.outputs["Color"], emission.inputs["Color"])
    return material


def plain_material(name: str, color: tuple[float, float, float]) -> bpy.types.Material:
    """Emission of one linear color."""
    material, emission = _emissive(name)
    emission.inputs["Color"].default_value = (*color, 1.0)
    material.diffuse_color = (*color, 1.0)
    return material


def picture_node(material: bpy.types.Material) -> Any:
    """The texture node of a `picture_material`."""
    return next(node for node in material.node_tree.nodes if node.type == "TEX_IMAGE")


def picture_material(name: str, image: bpy.types.Image, movie_frame: int | None = None) -> bpy.types.Material:
    """Emission of `image` by the mesh's texture coordinates; of a movie always its frame `movie_frame`, from 1."""
    material, emission = _emissive(name)
    source: Any = material.node_tree.nodes.new("ShaderNodeTexImage")
    source.image = image
    source.extension = "EXTEND"
    source.location = (-300, 0)
    if movie_frame is not None:
        user = source.image_user
        user.use_auto_refresh = True
        user.frame_start, user.frame_duration, user.frame_offset = 1, 1, movie_frame - 1
    material.node_tree.links.new(source.outputs["Color"], emission.inputs["Color"])
    return material


def _emissive(name: str) -> tuple[bpy.types.Material, Any]:
    material = node_material(name)
    nodes = material.node_tree.nodes
    emission = nodes.new("ShaderNodeEmission")
    output = nodes.new("ShaderNodeOutputMaterial")
    output.location = (200, 0)
    material.node_tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    return material, emission
