"""Point clouds: vertex meshes with attributes, drawn as points by geometry nodes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..exchange.reconstruction import Points
from ..geometry.blender_axes import points_to_blender
from .collection import Holder
from .filters import FILTERS, SPARSE_FILTERS, Filter, drive_filters
from .materials import COLOR, attribute_material, mean_color
from .node_groups import MATERIAL, point_group
from .samples import Samples, ranks
from .timeline import Timeline
from .versions import set_modifier_input

DENSE, SPARSE = "cloud", "sparse cloud"
MODIFIER = "VGGT Points"


def build_cloud(holder: Holder, root: bpy.types.Object, samples: Samples, timeline: Timeline) -> bpy.types.Object:
    """The dense cloud: attributes ``Col``, ``confidence``, ``confidence_rank``, ``edge``, ``depth``, ``agreement`` and
    ``frame`` (the plate's number, for stills the place in the row from 1)."""
    numbers = np.array([timeline.frame(position) for position in range(len(timeline.frames))], np.int32)
    attributes: dict[str, NDArray[Any]] = {
        COLOR: samples.rgb,
        "confidence": samples.confidence,
        "confidence_rank": ranks(samples.confidence),
        "edge": samples.edge,
        "depth": samples.depth,
        "agreement": samples.agreement,
        "frame": numbers[samples.position],
    }
    radius = 0.5 * samples.spacing
    return _cloud(holder, root, DENSE, f"{holder.name} points", samples.xyz, attributes, radius, FILTERS)


def build_sparse_cloud(holder: Holder, root: bpy.types.Object, points: Points, radius: float) -> bpy.types.Object:
    """The solver's own points: attributes ``Col``, ``confidence`` (1 / (1 + error)), ``error`` in pixels,
    ``observations`` and ``agreement`` (one less)."""
    error = np.nan_to_num(points.error, nan=np.inf)
    confidence = (1.0 / (1.0 + np.maximum(error, 0))).astype(np.float32)
    attributes: dict[str, NDArray[Any]] = {
        COLOR: points.rgb,
        "confidence": confidence,
        "confidence_rank": ranks(confidence),
        "error": points.error,
        "observations": points.observations,
        "agreement": np.maximum(points.observations - 1, 0),
    }
    xyz = points_to_blender(points.xyz)
    return _cloud(holder, root, SPARSE, f"{holder.name} sparse points", xyz, attributes, radius, SPARSE_FILTERS)


def _cloud(
    holder: Holder,
    root: bpy.types.Object,
    role: str,
    name: str,
    xyz: NDArray[np.float32],
    attributes: dict[str, NDArray[Any]],
    radius: float,
    filters: Sequence[Filter],
) -> bpy.types.Object:
    cloud, new = holder.ensure(role, name, bpy.data.meshes.new(name))
    write_vertices(cloud.data, xyz)
    for key, values in attributes.items():
        write_attribute(cloud.data, key, values)
    if new:
        cloud.parent = root
        modifier = cloud.modifiers.new(MODIFIER, "NODES")
        modifier.node_group = point_group(name, radius, filters)
        set_modifier_input(modifier, MATERIAL, attribute_material(name, mean_color(attributes[COLOR])))
        drive_filters(modifier, root, filters)
    return cloud


def write_vertices(mesh: bpy.types.Mesh, xyz: NDArray[np.float32]) -> None:
    """Replace all geometry of `mesh` by vertices (P, 3)."""
    mesh.clear_geometry()
    mesh.vertices.add(len(xyz))
    mesh.attributes["position"].data.foreach_set("vector", np.ascontiguousarray(xyz, np.float32).ravel())


def write_attribute(mesh: bpy.types.Mesh, name: str, values: NDArray[Any], domain: str = "POINT") -> None:
    """Attribute `name` with one entry per element of `domain`: uint8 (P, 3) is an sRGB color, else a number (P,)."""
    if values.ndim == 2:
        attribute = mesh.attributes.new(name, "BYTE_COLOR", domain)
        rgba = np.empty((len(values), 4), np.float32)
        rgba[:, 3] = 1.0
        np.multiply(values, np.float32(1 / 255), out=rgba[:, :3])
        attribute.data.foreach_set("color_srgb", rgba.ravel())
        mesh.color_attributes.active_color = attribute  # what Solid shading by Attribute shows
    elif values.dtype.kind == "f":
        mesh.attributes.new(name, "FLOAT", domain).data.foreach_set("value", np.ascontiguousarray(values, np.float32))
    else:
        mesh.attributes.new(name, "INT", domain).data.foreach_set("value", np.ascontiguousarray(values, np.int32))
