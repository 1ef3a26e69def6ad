"""The one parent empty of a reconstruction: z up, scale and offset, suggested here, and changed by the artist alone."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector
from numpy.typing import NDArray

from ..exchange.messages import JobError
from ..exchange.reconstruction import Reconstruction, solved_again
from ..geometry.alignment import Similarity, align_cameras
from ..geometry.blender_axes import BLENDER_FROM_OPENCV, leveling_matrix, opencv_pose
from ..geometry.up import estimate_up
from .cameras import SHOT_CAMERA, registered
from .collection import Holder
from .fcurves import read_keys
from .timeline import Timeline

Array = NDArray[np.float64]

ROOT = "root"
SUGGESTED = "vggt_suggested"  # on the root: where the import stood it
SURVEYED = "vggt_surveyed"  # on the root: it stood on measured points once


def build_root(holder: Holder, size: float) -> tuple[bpy.types.Object, bool]:
    """The parent empty, at identity where it is new, and whether it is."""
    root, new = holder.ensure(ROOT, holder.name, None)
    if new:
        root.empty_display_type = "PLAIN_AXES"
        root.empty_display_size = 0.2 * size
    return root, new


def level(root: bpy.types.Object, reconstruction: Reconstruction, points: NDArray[np.floating]) -> None:
    """Stand `root` on the estimated ground; `points` (M, 3) in the reconstruction's own world. Identity undoes it."""
    poses = [frame.pose.camera_from_world for frame in reconstruction.frames if frame.pose is not None]
    up = estimate_up(np.array(poses), points)
    matrix = leveling_matrix(up.direction, up.ground)
    root.matrix_basis = Matrix(matrix.tolist())
    root[SUGGESTED] = matrix.ravel().tolist()


def stand_on_survey(root: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Leave the world of measured points as it is, in the units of `scene`; what the artist does to it then, stays."""
    if not root.get(SURVEYED):
        root.matrix_basis = Matrix.Scale(1.0 / scene.unit_settings.scale_length, 4)
        root[SUGGESTED] = [value for row in root.matrix_basis for value in row]
        root[SURVEYED] = True


def solved_cameras(holder: Holder, reconstruction: Reconstruction, timeline: Timeline) -> dict[int, Array]:
    """The OpenCV poses (3, 4) that the objects hold now, by position of the same frame in `reconstruction`."""
    matrices: dict[int, Matrix] = {}
    if timeline.shot:
        keyed = keyed_matrices(holder.find(SHOT_CAMERA))
        matrices = {p: keyed[f] for p in registered(reconstruction) if (f := timeline.frame(p)) in keyed}
    else:
        for position in registered(reconstruction):
            camera = holder.find(f"camera:{reconstruction.frames[position].name}")
            if camera is not None:
                matrices[position] = camera.matrix_basis.copy()
    return {position: opencv_pose(np.array(matrix)) for position, matrix in matrices.items()}


def keyed_matrices(camera: bpy.types.Object | None) -> dict[int, Matrix]:
    """The matrices of an animated camera on its parent, by frame; none without a camera or keys."""
    if camera is None:
        return {}
    places, turns = read_keys(camera, "location"), read_keys(camera, "rotation_quaternion")
    return {
        frame: Matrix.LocRotScale(Vector(places[frame]), Quaternion(turns[frame]).normalized(), None)
        for frame in places.keys() & turns.keys()
    }


def over_old_solve(reconstruction: Reconstruction, old: dict[int, Array]) -> Similarity:
    """What lays the new solve over the old one: every solve has a world of its own, the artist's scene has one.

    `old` are the poses of the same frames in the old solve, by position; without any the new solve stays as it is.
    """
    again = solved_again(reconstruction.extra)  # where these were says nothing of where the world is
    stayed = {position: pose for position, pose in old.items() if reconstruction.frames[position].name not in again}
    kept = stayed if len(stayed) >= 2 else old
    frames = [(reconstruction.frames[position].pose, pose) for position, pose in kept.items()]
    pairs = [(new.camera_from_world, pose) for new, pose in frames if new is not None]
    if not pairs:
        return Similarity(1.0, np.eye(3), np.zeros(3))
    return align_cameras(np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs]))


def place_of(root: bpy.types.Object) -> Similarity:
    """Where the artist's alignment puts what hangs on `root`: OpenCV's axes, the scene's origin, floor and scale.

    Raises `JobError` where it is stretched or mirrored: no camera sees such a world as the plate shows it.
    """
    matrix, axes = np.array(root.matrix_world), BLENDER_FROM_OPENCV
    try:
        return Similarity.of_matrix(axes.T @ np.column_stack([matrix[:3, :3] @ axes, matrix[:3, 3]]))
    except ValueError:
        raise JobError(
            "alignment",
            f"'{root.name}' is scaled unevenly or mirrored: give its scale one value above 0 for X, Y and Z (Alt+S "
            "clears it), and that of what it hangs on.",
        ) from None
