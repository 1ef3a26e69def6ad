"""Where a shot stands in the artist's world: its parent empty found, moved, suggested and put back."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..geometry.alignment import ROUNDING
from ..geometry.blender_axes import leveling_matrix, opencv_pose, points_from_blender, points_to_blender
from ..geometry.up import estimate_up
from .alignment import ROOT, SUGGESTED, keyed_matrices
from .cameras import SHOT_CAMERA
from .collection import ID, ROLE, Holder
from .point_cloud import DENSE, SPARSE

Array = NDArray[np.float64]

SAMPLE = 20_000


def find_shot(
    scene: bpy.types.Scene, active: bpy.types.Object | None, collection: bpy.types.Collection | None
) -> Holder | None:
    """The shot of `active` or of what it hangs on, else the one of `collection`, else the scene's only one."""
    shots = [child for child in scene.collection.children_recursive if ID in child]
    marks = {shot[ID]: shot for shot in shots}
    while active is not None:
        if active.get(ID) in marks:
            return Holder(marks[active[ID]])
        active = active.parent
    for shot in shots:
        if collection == shot or collection in set(shot.children_recursive):
            return Holder(shot)
    return Holder(shots[0]) if len(shots) == 1 else None


def move_root(root: bpy.types.Object, matrix: Array) -> None:
    """Carry the shot along by a world-space matrix (4, 4); what hangs on `root` keeps its own place on it.

    A scale that is one but for rounding becomes one again, or click after click would skew the shot.
    """
    bpy.context.view_layer.update()
    root.matrix_world = Matrix(matrix.tolist()) @ root.matrix_world
    scale = float(np.mean(root.scale))
    if np.ptp(root.scale) <= ROUNDING * abs(scale):
        root.scale = (scale, scale, scale)
    bpy.context.view_layer.update()


def reset_root(root: bpy.types.Object) -> None:
    """Put `root` back to where the import stood it."""
    stored = root.get(SUGGESTED)
    root.matrix_basis = Matrix.Identity(4) if stored is None else Matrix(np.reshape(stored, (4, 4)).tolist())
    bpy.context.view_layer.update()


def view_point(shot: Holder) -> Array:
    """The middle (3,) of the cameras in the world: it is above the floor. The root's own place where there is none."""
    bpy.context.view_layer.update()
    root = np.array(shot.find(ROOT).matrix_world)  # type: ignore[union-attr]
    places = [matrix[:3, 3] for matrix in _camera_matrices(shot)]
    middle = np.mean(places, axis=0) if places else np.zeros(3)
    return np.asarray(root[:3, :3] @ middle + root[:3, 3])


def suggested_matrix(shot: Holder) -> Array:
    """What stands the shot on its estimated ground: a world-space matrix (4, 4) for `move_root`.

    Raises `ValueError` where the shot has no cameras.
    """
    matrices = _camera_matrices(shot)
    if not matrices:
        raise ValueError("This shot has no cameras any more: set the floor from three points.")
    up = estimate_up(np.array([opencv_pose(matrix) for matrix in matrices]), _points(shot))
    bpy.context.view_layer.update()
    root = np.array(shot.find(ROOT).matrix_world)  # type: ignore[union-attr]
    direction = root[:3, :3] @ points_to_blender(up.direction)
    direction /= np.linalg.norm(direction)
    if up.ground is None:
        return leveling_matrix(points_from_blender(direction))
    foot = root[:3, :3] @ points_to_blender(up.ground * up.direction) + root[:3, 3]
    return leveling_matrix(points_from_blender(direction), float(direction @ foot))


def _camera_matrices(shot: Holder) -> list[Array]:
    """The solved cameras' matrices (4, 4) on their parent."""
    keyed = keyed_matrices(shot.find(SHOT_CAMERA))
    stills = [thing for thing in shot.collection.all_objects if str(thing.get(ROLE, "")).startswith("camera:")]
    return [np.array(matrix) for matrix in (*keyed.values(), *(still.matrix_basis for still in stills))]


def _points(shot: Holder) -> Array:
    """Some of the shot's points (P, 3), OpenCV axes, on their parent: the surer half of the dense ones, else sparse."""
    cloud = shot.find(DENSE) or shot.find(SPARSE)
    if cloud is None or len(cloud.data.vertices) == 0:
        return np.zeros((0, 3))
    xyz = np.empty(3 * len(cloud.data.vertices), np.float32)
    cloud.data.vertices.foreach_get("co", xyz)
    rank = np.empty(len(cloud.data.vertices), np.float32)
    attribute = cloud.data.attributes.get("confidence_rank")
    if attribute is None or attribute.domain != "POINT":
        rank[:] = 1.0
    else:
        attribute.data.foreach_get("value", rank)
    sure = np.flatnonzero(rank >= np.median(rank))
    return np.asarray(points_from_blender(xyz.reshape(-1, 3)[sure[:: max(1, len(sure) // SAMPLE)]]), np.float64)
