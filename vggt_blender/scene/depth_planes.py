"""Depth planes: grids seen through their camera, displaced along its rays, textured with the full-resolution plate.

A plane's object stands where its camera stood, so that scaling it keeps it on the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..exchange.reconstruction import Reconstruction
from ..geometry.blender_axes import camera_matrix
from .agreement import Witnesses
from .collection import Holder
from .filters import FILTERS, drive_filters
from .materials import COLOR, attribute_material, picture_material
from .node_groups import plane_group
from .orientation import UPRIGHT, orientation_of, stored_uv
from .plate import load_image, picture_path
from .point_cloud import write_attribute, write_vertices
from .samples import camera_rays, dense_frame, dense_positions, ranks, usable
from .timeline import Timeline

ROLE = "plane:"
MODIFIER = "VGGT Depth Plane"

SHOT_PLANES = 8
VERTEX_BUDGET = 4_000_000  # of all planes together; grids get coarser beyond it


@dataclass(frozen=True)
class Grid:
    """``rays`` (V, 2) at unit depth and ``depth`` (V,) of the vertices, their colors ``rgb`` (V, 3) and picture
    coordinates ``uv`` (V, 2), 0..1 from the lower left; ``quads`` (F, 4), ``edge`` (F,) relative depth steps,
    ``confidence_rank`` (F,), ``agreement`` (F,) of the corner that fewest other frames agree with."""

    rays: NDArray[np.floating]
    depth: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    uv: NDArray[np.floating]
    quads: NDArray[np.int32]
    edge: NDArray[np.float32]
    confidence_rank: NDArray[np.float32]
    agreement: NDArray[np.uint8]


def plane_positions(reconstruction: Reconstruction, every: int) -> list[int]:
    """The frames that get a plane: all stills, every `every`-th dense frame of a shot (0: about eight)."""
    positions = dense_positions(reconstruction)
    if every > 0:
        return positions[::every]
    if reconstruction.source.kind == "images":
        return positions
    return positions[:: max(1, math.ceil(len(positions) / SHOT_PLANES))]


def build_planes(
    holder: Holder, root: bpy.types.Object, reconstruction: Reconstruction, timeline: Timeline, every: int
) -> list[bpy.types.Object]:
    """One plane for each chosen frame; planes of other frames, from an earlier solve, are removed."""
    positions = plane_positions(reconstruction, every)
    planes = []
    if positions and reconstruction.depth is not None:
        step = math.ceil(math.sqrt(len(positions) * reconstruction.depth[0].size / VERTEX_BUDGET))
        witnesses = Witnesses(reconstruction, dense_positions(reconstruction))
        for position in positions:
            grid = sample_grid(reconstruction, position, max(1, step), witnesses)
            if len(grid.quads):
                planes.append(_plane(holder, root, reconstruction, position, grid, timeline.frame(position)))
    holder.keep_only(ROLE, {plane["vggt_role"] for plane in planes})
    return planes


def sample_grid(reconstruction: Reconstruction, position: int, step: int, witnesses: Witnesses) -> Grid:
    """The grid of every `step`-th depth sample of a frame; unknown samples are no vertices."""
    frame = reconstruction.frames[position]
    z, trust, color = dense_frame(reconstruction, position, step)
    valid = usable(z, trust)
    rows, columns = np.nonzero(valid)
    rays, pixels = camera_rays(frame, rows * step, columns * step)
    seen = np.isfinite(rays).all(axis=1)
    valid[rows[~seen], columns[~seen]] = False
    number = np.full(z.shape, -1, np.int32)
    number[valid] = np.arange(int(seen.sum()), dtype=np.int32)
    corners = [(slice(None, -1), slice(None, -1)), (slice(1, None), slice(None, -1)),
               (slice(1, None), slice(1, None)), (slice(None, -1), slice(1, None))]  # fmt: skip
    whole = np.logical_and.reduce([valid[corner] for corner in corners])
    depths = np.stack([z[corner][whole] for corner in corners])
    rank = np.zeros(z.shape, np.float32)
    rank[valid] = ranks(trust[valid])
    agreement = np.zeros(z.shape, np.uint8)
    camera = np.column_stack([rays[seen] * z[valid][:, None], z[valid]]).astype(np.float32)
    agreement[valid] = witnesses.agreement(position, camera)
    return Grid(
        rays=rays[seen],
        depth=z[valid],
        rgb=color[valid],
        uv=pixels[seen] / [frame.width, -frame.height] + [0.0, 1.0],
        quads=np.stack([number[corner][whole] for corner in corners], axis=-1),
        edge=(depths.max(axis=0) - depths.min(axis=0)) / depths.min(axis=0) if depths.size else np.zeros(0, np.float32),
        confidence_rank=np.stack([rank[corner][whole] for corner in corners]).mean(axis=0),
        agreement=np.stack([agreement[corner][whole] for corner in corners]).min(axis=0, initial=255),
    )


def _plane(
    holder: Holder, root: bpy.types.Object, reconstruction: Reconstruction, position: int, grid: Grid, number: int
) -> bpy.types.Object:
    frame = reconstruction.frames[position]
    assert frame.pose is not None
    name = f"{frame.name} plane"
    plane, new = holder.ensure(f"{ROLE}{frame.name}", name, bpy.data.meshes.new(name), "planes")
    path = picture_path(reconstruction, frame)
    orientation = orientation_of(path) if reconstruction.source.kind != "video" else UPRIGHT
    _write_grid(plane.data, grid, orientation, number)
    if new:
        plane.parent = root
        modifier = plane.modifiers.new(MODIFIER, "NODES")
        modifier.node_group = plane_group(name, float(np.median(grid.depth)), FILTERS)
        drive_filters(modifier, root, FILTERS)
        plane.data.materials.append(_material(reconstruction, position, name))
    plane.matrix_basis = Matrix(camera_matrix(frame.pose.camera_from_world).tolist())
    return plane


def _material(reconstruction: Reconstruction, position: int, name: str) -> bpy.types.Material:
    """The full-resolution picture; the colors of the depth map where the file is gone."""
    frame = reconstruction.frames[position]
    path = picture_path(reconstruction, frame)
    if not path.is_file():
        return attribute_material(name)
    if reconstruction.source.kind == "video":
        # an image of its own: one datablock keeps one frame on the graphics card
        return picture_material(name, load_image(path, "MOVIE", share=False), frame.index + 1)
    return picture_material(name, load_image(path))


def _write_grid(mesh: Any, grid: Grid, orientation: int, number: int) -> None:
    count = len(grid.quads)
    flat = np.column_stack([grid.rays[:, 0], -grid.rays[:, 1], np.full(len(grid.rays), -1.0)])
    write_vertices(mesh, flat.astype(np.float32))
    mesh.loops.add(4 * count)
    mesh.loops.foreach_set("vertex_index", grid.quads.ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 4 * count, 4, dtype=np.int32))
    uv = stored_uv(grid.uv, orientation)[grid.quads.ravel()].astype(np.float32)
    layer = mesh.uv_layers.get("UVMap") or mesh.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", uv.ravel())
    write_attribute(mesh, "depth", grid.depth)
    write_attribute(mesh, COLOR, grid.rgb)
    write_attribute(mesh, "edge", grid.edge, "FACE")
    write_attribute(mesh, "confidence_rank", grid.confidence_rank, "FACE")
    write_attribute(mesh, "agreement", grid.agreement, "FACE")
    write_attribute(mesh, "frame", np.full(count, number, np.int32), "FACE")
    mesh.update(calc_edges=True)
