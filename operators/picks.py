"""The points that the artist chose: selected vertices in Edit Mode, selected objects in Object Mode."""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from ..vggt_blender.scene.alignment import ROOT
from ..vggt_blender.scene.collection import ROLE


def picked_count(context: bpy.types.Context) -> int:
    """How many points are chosen, without looking at them."""
    if context.mode == "EDIT_MESH":
        return sum(thing.data.total_vert_sel for thing in context.objects_in_mode_unique_data)
    return len(_chosen_objects(context)) if context.mode == "OBJECT" else 0


def picked_points(context: bpy.types.Context) -> NDArray[np.float64]:
    """The chosen points (P, 3) in the world. Leaves Edit Mode, whose undo would not remember what is moved."""
    if context.mode == "EDIT_MESH":
        things = list(context.objects_in_mode_unique_data)
        bpy.ops.object.mode_set(mode="OBJECT")
        points = [_selected_vertices(thing) for thing in things]
        return np.concatenate(points) if points else np.zeros((0, 3))
    context.view_layer.update()
    return np.array([thing.matrix_world.translation for thing in _chosen_objects(context)]).reshape(-1, 3)


def _chosen_objects(context: bpy.types.Context) -> list[bpy.types.Object]:
    return [thing for thing in context.selected_objects if thing.get(ROLE) != ROOT]


def _selected_vertices(thing: bpy.types.Object) -> NDArray[np.float64]:
    count = len(thing.data.vertices)
    selected, flat = np.zeros(count, bool), np.empty(3 * count, np.float32)
    thing.data.vertices.foreach_get("select", selected)
    thing.data.vertices.foreach_get("co", flat)
    matrix = np.array(thing.matrix_world)
    return flat.reshape(-1, 3)[selected] @ matrix[:3, :3].T + matrix[:3, 3]
