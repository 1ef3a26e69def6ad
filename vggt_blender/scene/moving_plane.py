"""One depth plane that follows the shot: it hangs on the camera, and an image sequence says how deep each frame is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from ..exchange.messages import JobError
from ..exchange.reconstruction import Frame, Reconstruction
from .agreement import Witnesses
from .cameras import SHOT_CAMERA
from .collection import Holder
from .filters import FILTERS, FIRST_FRAME, LAST_FRAME, drive_filters
from .materials import picture_material, picture_node
from .node_groups import DEPTH, moving_plane_group, set_stored_frames
from .plate import follow_timeline, load_image, picture_path
from .point_cloud import write_attribute, write_vertices
from .samples import camera_rays, dense_frame, dense_positions, ranks, usable
from .timeline import Timeline
from .versions import set_modifier_input

MOVING_PLANE = "moving plane"
MODIFIER = "VGGT Moving Plane"
VERTICES = 250_000
PLANE_FILTERS = tuple(entry for entry in FILTERS if entry.name not in (FIRST_FRAME, LAST_FRAME))

Float32 = NDArray[np.float32]


def depth_pictures(reconstruction: Reconstruction, timeline: Timeline) -> Iterator[tuple[int, dict[str, Float32]]]:
    """For every frame of the shot its scene frame and channels (h, w): R the depth, 0 where unknown, G the share of
    samples that are not more confident, B how many other frames agree."""
    dense = dense_positions(reconstruction)
    if not timeline.shot or not dense or reconstruction.depth is None:
        raise JobError("nothing", "A moving plane needs a solved video or image sequence with depth.")
    witnesses = Witnesses(reconstruction, dense)
    for position, frame in enumerate(reconstruction.frames):
        channels = {name: np.zeros(reconstruction.depth.shape[1:], np.float32) for name in "RGB"}
        if frame.registered and frame.depth_to_image is not None:
            depth, trust, _ = dense_frame(reconstruction, position)
            known = usable(depth, trust)
            rows, columns = np.nonzero(known)
            rays, _ = camera_rays(frame, rows, columns)
            channels["R"][known], channels["G"][known] = depth[known], ranks(trust[known])
            camera = np.column_stack([rays * depth[known][:, None], depth[known]]).astype(np.float32)
            channels["B"][known] = witnesses.agreement(position, camera)
        yield timeline.frame(position), channels


def build_moving_plane(
    holder: Holder, reconstruction: Reconstruction, timeline: Timeline, first_picture: Path
) -> bpy.types.Object:
    """A grid on the shot's camera, displaced by the sequence of `depth_pictures` that begins with `first_picture` and
    textured with the plate, both at the current frame. One lens serves the whole shot: the first placed frame's.

    A plane that is there gets the new depth and the frames that it is stored for; what the artist set stays."""
    camera = holder.find(SHOT_CAMERA)
    dense = dense_positions(reconstruction)
    if camera is None or not dense or reconstruction.depth is None:
        raise JobError("nothing", "A moving plane needs the camera of a solved video or image sequence with depth.")
    name = f"{holder.name} moving plane"
    plane, new = holder.ensure(MOVING_PLANE, name, bpy.data.meshes.new(name))
    frame = reconstruction.frames[dense[0]]
    _write_grid(plane.data, frame, (reconstruction.depth.shape[1], reconstruction.depth.shape[2]))
    image = _sequence(first_picture)
    if new:
        plane.parent = camera
        modifier = plane.modifiers.new(MODIFIER, "NODES")
        modifier.node_group = moving_plane_group(name, PLANE_FILTERS)
        drive_filters(modifier, camera.parent, PLANE_FILTERS)
        plane.data.materials.append(_material(reconstruction, name))
    modifier = plane.modifiers[MODIFIER]
    numbers = [timeline.frame(position) for position in range(len(timeline.frames))]
    set_stored_frames(modifier.node_group, min(numbers), math.gcd(*np.diff(sorted(numbers)).tolist()) or 1)
    set_modifier_input(modifier, DEPTH, image)
    for material in plane.data.materials:
        node = None if material is None else picture_node(material)
        if node is not None and node.image is not None and node.image.source != "FILE":
            follow_timeline(node, timeline)
    return plane


def _sequence(first: Path) -> bpy.types.Image:
    image = load_image(first, "SEQUENCE")
    image.colorspace_settings.name = "Non-Color"
    image.reload()
    return image


def _material(reconstruction: Reconstruction, name: str) -> bpy.types.Material:
    video = reconstruction.source.kind == "video"
    path = picture_path(reconstruction, reconstruction.frames[0])
    return picture_material(name, load_image(path, "MOVIE" if video else "SEQUENCE", share=False))


def _write_grid(mesh: bpy.types.Mesh, frame: Frame, shape: tuple[int, int]) -> None:
    step = max(1, math.ceil(math.sqrt(shape[0] * shape[1] / VERTICES)))
    rows, columns = (axis.ravel() for axis in np.mgrid[0 : shape[0] : step, 0 : shape[1] : step])
    high, wide = len(range(0, shape[0], step)), len(range(0, shape[1], step))
    rays, pixels = camera_rays(frame, rows, columns)
    rays = np.nan_to_num(rays)  # beyond the radius where a distortion model folds over: the depth there is unknown, too
    write_vertices(mesh, np.column_stack([rays[:, 0], -rays[:, 1], np.full(len(rays), -1.0)]).astype(np.float32))
    corner = (np.arange(high - 1)[:, None] * wide + np.arange(wide - 1)).ravel()
    quads = np.stack([corner, corner + wide, corner + wide + 1, corner + 1], axis=-1).astype(np.int32)
    mesh.loops.add(quads.size)
    mesh.loops.foreach_set("vertex_index", quads.ravel())
    mesh.polygons.add(len(quads))
    mesh.polygons.foreach_set("loop_start", np.arange(0, quads.size, 4, dtype=np.int32))
    uv = pixels / [frame.width, -frame.height] + [0.0, 1.0]
    layer = mesh.uv_layers.get("UVMap") or mesh.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", uv[quads.ravel()].astype(np.float32).ravel())
    write_attribute(mesh, "map_u", ((columns + 0.5) / shape[1]).astype(np.float32))
    write_attribute(mesh, "map_v", (1.0 - (rows + 0.5) / shape[0]).astype(np.float32))
    mesh.update(calc_edges=True)
