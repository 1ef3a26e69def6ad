"""Cycles renders a shot: colour as a plate would look, then depth and moving things at the exact pixel centres."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import bpy
import cv2
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from vggt_blender.geometry.blender_axes import blender_lens, camera_matrix
from vggt_blender.geometry.cameras import Lens

from .lens import Overscan, overscan, warp_color, warp_depth, warp_labels
from .materials import background, depth_and_index
from .record import Place, write_truth
from .scenes import person
from .shots import FIRST_FRAME, Shot
from .tracks import write_tracks

Array = NDArray[np.float64]

GRAIN = 1.5
"""Standard deviation in 8-bit steps of the grain laid over the denoised renders."""


def render_shot(shot: Shot, place: Place, samples: int, tell: Callable[[str], None]) -> None:
    """Render what is missing of `shot` into `place`, then write its truth. Finished frames are kept."""
    width, height = place.size
    poses, lenses = shot.move(shot.frames), shot.lenses(width, height)
    view = overscan(lenses[0], width, height) if shot.distortion else None
    if place.missing():
        bpy.ops.wm.read_factory_settings(use_empty=True)
        shot.build(shot.seed)
        if shot.walk:
            person.walk(*shot.walk, FIRST_FRAME, shot.frames)
        if view is None:
            animate_camera(poses, lenses, width, height)
            set_size(width, height)
        else:
            animate_camera(poses, [view.lens] * shot.frames, view.width, view.height)
            set_size(view.width, view.height)
        render_colors(shot, place, view, samples, tell)
        render_truth(shot, place, view, tell)
        shutil.rmtree(place.scratch, ignore_errors=True)
    write_truth(place, poses, lenses)
    if not shot.compact:
        write_tracks(place.folder)


def set_size(width: int, height: int) -> None:
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100


def animate_camera(poses: Array, lenses: Sequence[Lens], width: int, height: int) -> None:
    """Key a camera on frames FIRST_FRAME onwards, and one beyond either end for the shutter."""
    scene = bpy.context.scene
    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_width, data.clip_start, data.clip_end = "HORIZONTAL", 36.0, 0.01, 500.0
    camera = bpy.data.objects.new("camera", data)
    camera.rotation_mode = "QUATERNION"
    scene.collection.objects.link(camera)
    scene.camera = camera
    matrices = [Matrix(camera_matrix(pose).tolist()) for pose in poses]
    before = 2 * matrices[0].translation - matrices[1].translation
    after = 2 * matrices[-1].translation - matrices[-2].translation
    keys = [(before, matrices[0]), *((matrix.translation, matrix) for matrix in matrices), (after, matrices[-1])]
    turn = matrices[0].to_quaternion()
    for k, (location, matrix) in enumerate(keys):
        lens = lenses[min(max(k - 1, 0), len(lenses) - 1)]
        optics = blender_lens(lens.fx, lens.fy, lens.cx, lens.cy, width, height)
        following = matrix.to_quaternion()
        following.make_compatible(turn)
        camera.location, camera.rotation_quaternion, turn = location, following, following
        data.lens, data.shift_x, data.shift_y = optics.focal_mm, optics.shift_x, optics.shift_y
        for path in ("location", "rotation_quaternion"):
            camera.keyframe_insert(path, frame=FIRST_FRAME - 1 + k)
        data.keyframe_insert("lens", frame=FIRST_FRAME - 1 + k)


def render_colors(shot: Shot, place: Place, view: Overscan | None, samples: int, tell: Callable[[str], None]) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.view_settings.view_transform = "Standard"
    scene.render.dither_intensity = 0.0
    scene.render.use_persistent_data = shot.walk is None
    cycles = scene.cycles
    cycles.samples, cycles.use_adaptive_sampling = samples, False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"  # the albedo keeps textures from being smeared
    cycles.max_bounces, cycles.diffuse_bounces, cycles.sample_clamp_indirect = 2, 1, 2.0
    scene.render.use_motion_blur = shot.shutter is not None
    scene.render.motion_blur_shutter = shot.shutter or 0.5
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    for k in range(shot.frames):
        if place.color(k).exists():
            continue
        cycles.seed = k  # noise that stands still on the sensor would be tracked as if it were the scene
        raw = _render(place, k, ".png")
        picture = cv2.imread(str(raw), cv2.IMREAD_COLOR)
        plate = raw.with_suffix(place.color(k).suffix)
        picture = with_grain(picture if view is None else warp_color(picture, view), shot.seed, k)
        cv2.imwrite(str(plate), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
        plate.replace(place.color(k))
        tell(f"{shot.name}: picture {k + 1} of {shot.frames}")


def with_grain(picture: NDArray[np.uint8], seed: int, k: int) -> NDArray[np.uint8]:
    """The picture with a camera's grain, different in every frame."""
    noise = np.random.default_rng((seed, k)).normal(0.0, GRAIN, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def render_truth(shot: Shot, place: Place, view: Overscan | None, tell: Callable[[str], None]) -> None:
    """One unfiltered sample through every pixel centre, each surface shining with its depth and index."""
    scene = bpy.context.scene
    scene.cycles.use_denoising = False
    scene.world = background("nothing", 0.0)
    scene.view_layers[0].material_override = depth_and_index()
    scene.render.use_motion_blur = False
    cycles = scene.cycles
    cycles.samples, cycles.max_bounces = 1, 0
    cycles.pixel_filter_type, cycles.filter_width = "GAUSSIAN", 0.01
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.render.image_settings.exr_codec = "ZIP"
    for k in range(shot.frames):
        if place.depth(k).exists():
            continue
        values = _read_exr(_render(place, k, ".exr"))
        depth = np.where(values[..., 0] > 0, values[..., 0], np.nan).astype(np.float32)
        still = np.where(np.rint(values[..., 1]) == person.MOVING, 0, 255).astype(np.uint8)
        if view is not None:
            depth, still = warp_depth(depth, view), warp_labels(still, view)
        if shot.walk:
            place.mask(k).parent.mkdir(exist_ok=True)
            cv2.imwrite(str(place.mask(k)), still)
        place.save_depth(k, depth)
        tell(f"{shot.name}: depth {k + 1} of {shot.frames}")


def _render(place: Place, k: int, suffix: str) -> Path:
    scene = bpy.context.scene
    raw = place.scratch / f"frame{k}{suffix}"
    scene.frame_set(FIRST_FRAME + k)
    scene.render.filepath = str(raw)
    bpy.ops.render.render(write_still=True)
    return raw


def _read_exr(path: Path) -> NDArray[np.float32]:
    """The picture (h, w, 4), top row first."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    path.unlink()
    return values.reshape(height, width, 4)[::-1]
