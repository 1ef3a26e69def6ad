"""Materials that give off the picture's own colors: a lit surface would be shaded a second time."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .versions import node_material

COLOR = "Col"
"""The color attribute of points and planes. Cycles renders one that is called "color" black (4.5 and 5.0)."""


def attribute_material(
    name: str, solid: tuple[float, float, float] = (0.8, 0.8, 0.8), attribute: str = COLOR
) -> bpy.types.Material:
    """Emission of a color attribute. Solid shading knows one color for points: `solid`, linear."""
    material, emission = _emissive(name)
    material.diffuse_color = (*solid, 1.0)
    source = material.node_tree.nodes.new("ShaderNodeAttribute")
    source.attribute_name = attribute
    source.location = (-300, 0)
    material.node_tree.links.new(source.outputs["Color"], emission.inputs["Color"])
    return material


def mean_color(rgb: NDArray[np.uint8]) -> tuple[float, float, float]:
    """The mean of sRGB bytes (P, 3), linear."""
    if not len(rgb):
        return (0.8, 0.8, 0.8)
    red, green, blue = (rgb[:: max(1, len(rgb) // 10_000)].mean(axis=0) / 255.0) ** 2.2
    return float(red), float(green), float(blue)


def plain_material(name: str, color: tuple[float, float, float]) -> bpy.types.Material:
    """Emission of one linear color."""
    material, emission = _emissive(name)
    emission.inputs["Color"].default_value = (*color, 1.0)
    material.diffuse_color = (*color, 1.0)
    return material


def picture_node(material: bpy.types.Material) -> Any:
    """The texture node of a `picture_material`, None in a material of the artist's without any."""
    nodes = material.node_tree.nodes if material.node_tree is not None else ()
    return next((node for node in nodes if node.type == "TEX_IMAGE"), None)


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
