"""Cameras: one animated camera for a shot, one camera each for stills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..exchange.reconstruction import Frame, Reconstruction
from ..geometry.blender_axes import BlenderLens, blender_lens, camera_matrix
from ..geometry.cameras import continuous_quaternions, quaternion_from_rotation
from .collection import Holder
from .fcurves import remove_keys, write_keys
from .plate import show_plate
from .timeline import Timeline

SHOT_CAMERA = "camera"
WIDTH, HEIGHT, ASPECT = "vggt_width", "vggt_height", "vggt_pixel_aspect"

SQUARE = 1e-4  # pixels are square within this share: it moves no pixel of a 1080-line plate by more than 0.06
TRAVEL = 0.005  # a lens that varies by less than this share (of its focal length, of the picture's width) is at rest
SMOOTHNESS = 4.0  # a real zoom travels this many times farther than it jitters from frame to frame


@dataclass(frozen=True)
class Lenses:
    """The lenses of all registered frames, in Blender's terms: arrays (K,) and one pixel aspect (x, y)."""

    focal_mm: NDArray[np.float64]
    shift_x: NDArray[np.float64]
    shift_y: NDArray[np.float64]
    sensor_width_mm: float
    pixel_aspect: tuple[float, float]


def registered(reconstruction: Reconstruction) -> list[int]:
    """Positions of the frames that have a pose."""
    return [position for position, frame in enumerate(reconstruction.frames) if frame.registered]


def lenses(frames: Sequence[Frame]) -> Lenses:
    """Blender's lens for each of `frames`, all registered. Pixels that are square but for noise become square."""
    poses = [frame.pose for frame in frames if frame.pose is not None]
    ratio = float(np.median([pose.fy / pose.fx for pose in poses])) if poses else 1.0
    square = abs(ratio - 1.0) < SQUARE
    found: list[BlenderLens] = []
    for frame in frames:
        pose = frame.pose
        assert pose is not None
        focal = float(np.sqrt(pose.fx * pose.fy / (1.0 if square else ratio)))
        fy = focal * (1.0 if square else ratio)
        found.append(blender_lens(focal, fy, pose.cx, pose.cy, frame.width, frame.height))
    return Lenses(
        np.array([lens.focal_mm for lens in found]),
        np.array([lens.shift_x for lens in found]),
        np.array([lens.shift_y for lens in found]),
        found[0].sensor_width_mm if found else 36.0,
        found[0].pixel_aspect if found else (1.0, 1.0),
    )


def really_varies(values: NDArray[np.float64]) -> bool:
    """Whether `values` (K,), frame by frame and in units in which `TRAVEL` is little, travel rather than jitter."""
    if len(values) < 2 or np.ptp(values) <= TRAVEL:
        return False
    if len(values) < 4:
        return bool(np.ptp(values) > 10 * TRAVEL)
    window = np.lib.stride_tricks.sliding_window_view(values, 3)
    smooth = np.median(window, axis=1)
    jitter = float(np.median(np.abs(window[:, 1] - (window[:, 0] + window[:, 2]) / 2)))
    return bool(np.ptp(smooth) > max(TRAVEL, SMOOTHNESS * jitter))


def build_shot_camera(
    holder: Holder, root: bpy.types.Object, reconstruction: Reconstruction, timeline: Timeline, size: float
) -> bpy.types.Object:
    """One camera, keyed on the plate's own frames; frames that are not registered get no key."""
    positions = registered(reconstruction)
    chosen = [reconstruction.frames[position] for position in positions]
    camera = _camera_object(holder, SHOT_CAMERA, f"{holder.name} camera", root, size)
    data = camera.data
    lens = lenses(chosen)
    _note_size(camera, chosen[0], lens)
    keys = [timeline.frame(position) for position in positions]
    matrices = [camera_matrix(frame.pose.camera_from_world) for frame in chosen if frame.pose is not None]
    quaternions = continuous_quaternions([quaternion_from_rotation(matrix[:3, :3]) for matrix in matrices])
    camera.rotation_mode = "QUATERNION"
    write_keys(camera, "location", keys, np.array([matrix[:3, 3] for matrix in matrices]))
    write_keys(camera, "rotation_quaternion", keys, quaternions)
    data.sensor_width = lens.sensor_width_mm
    _write_lens(data, lens, keys)
    show_plate(data, reconstruction, positions[0], timeline)
    return camera


def _write_lens(data: bpy.types.Camera, lens: Lenses, keys: list[int]) -> None:
    if really_varies(np.log(lens.focal_mm)):
        write_keys(data, "lens", keys, lens.focal_mm)
    else:
        data.lens = float(np.median(lens.focal_mm))
        write_keys(data, "lens", keys[:1], [data.lens])
    for path, values in (("shift_x", lens.shift_x), ("shift_y", lens.shift_y)):
        remove_keys(data, path)
        if really_varies(values):
            write_keys(data, path, keys, values)
        else:
            setattr(data, path, float(np.median(values)))


def build_still_cameras(
    holder: Holder, root: bpy.types.Object, reconstruction: Reconstruction, timeline: Timeline, size: float
) -> dict[int, bpy.types.Object]:
    """One camera for each registered picture, by scene frame, each with its own lens and background."""
    cameras: dict[int, bpy.types.Object] = {}
    for position in registered(reconstruction):
        frame = reconstruction.frames[position]
        assert frame.pose is not None
        camera = _camera_object(holder, f"camera:{frame.name}", frame.name, root, size, "cameras")
        lens = lenses([frame])
        _note_size(camera, frame, lens)
        camera.matrix_basis = Matrix(camera_matrix(frame.pose.camera_from_world).tolist())
        data = camera.data
        data.sensor_width, data.lens = lens.sensor_width_mm, float(lens.focal_mm[0])
        data.shift_x, data.shift_y = float(lens.shift_x[0]), float(lens.shift_y[0])
        show_plate(data, reconstruction, position, timeline)
        cameras[timeline.frame(position)] = camera
    holder.keep_only("camera:", {f"camera:{reconstruction.frames[p].name}" for p in registered(reconstruction)})
    return cameras


def _camera_object(
    holder: Holder, role: str, name: str, root: bpy.types.Object, size: float, group: str | None = None
) -> bpy.types.Object:
    """The camera of `role`; a new one is drawn and clipped as suits a scene of `size`."""
    camera, new = holder.ensure(role, name, bpy.data.cameras.new(name), group)
    if new:
        camera.parent = root
        camera.data.sensor_fit = "HORIZONTAL"
        camera.data.display_size = 0.1 * size
        camera.data.clip_start = min(0.1, 0.01 * size)
        camera.data.clip_end = max(1000.0, 1000.0 * size)
    return camera


def _note_size(camera: bpy.types.Object, frame: Frame, lens: Lenses) -> None:
    """Keep the picture's size with the camera: stills of several sizes share a scene, which has one resolution."""
    camera[WIDTH], camera[HEIGHT] = frame.width, frame.height
    camera[ASPECT] = lens.pixel_aspect[0] / lens.pixel_aspect[1]


def plate_shape(camera: bpy.types.Object) -> float:
    """Width over height of the camera's picture as it is seen."""
    return float(camera[WIDTH] * camera[ASPECT] / camera[HEIGHT])
