"""The plate: picture files as Blender images, and as the background of a camera at the right frames and fit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy

from ..exchange.reconstruction import Frame, Reconstruction
from .orientation import orientation_of
from .stored_paths import full_path, leads_to
from .timeline import Timeline
from .video_orientation import blender_turns_to, orientation_of_video

# How to turn (degrees, clockwise as Blender counts a background) and mirror a stored picture, by EXIF orientation.
_UPRIGHT: dict[int, tuple[int, bool]] = {
    1: (0, False), 2: (0, True), 3: (180, False), 4: (180, True), 5: (-90, True), 6: (90, False), 7: (90, True),
    8: (-90, False),
}  # fmt: skip


def picture_path(reconstruction: Reconstruction, frame: Frame) -> Path:
    """Where the picture (or the video) of `frame` lies."""
    return reconstruction.file_of(frame)


def load_image(path: Path, source: str = "FILE", *, share: bool = True) -> bpy.types.Image:
    """The image at `path` with `source` ``FILE``, ``SEQUENCE`` or ``MOVIE``; one that is loaded already is shared.

    The file is referred to, never packed: relative to a saved .blend on the same drive, absolute otherwise.
    """
    if share:
        for image in bpy.data.images:
            if _shows(image, path, source):
                return image
    image = bpy.data.images.load(str(path), check_existing=False)
    if image.source != source:
        image.source = source
    if bpy.data.filepath and Path(bpy.data.filepath).drive == path.drive:
        image.filepath = bpy.path.relpath(str(path))
    return image


def _shows(image: bpy.types.Image, path: Path, source: str) -> bool:
    return image.source == source and leads_to(image.filepath, path)


def show_plate(camera: bpy.types.Camera, reconstruction: Reconstruction, position: int, timeline: Timeline) -> bool:
    """Make the plate the background of `camera`: of a shot every frame, of a still the picture at `position`.

    Returns False, and leaves the camera alone, where the file is not there.
    """
    frame = reconstruction.frames[position]
    kind = {"images": "FILE", "sequence": "SEQUENCE", "video": "MOVIE"}[reconstruction.source.kind]
    path = picture_path(reconstruction, frame)
    if not path.is_file():
        return False
    background: Any = camera.background_images[0] if camera.background_images else _new_background(camera)
    if background.image is None or not _shows(background.image, path, kind):
        background.image = load_image(path, kind, share=kind == "FILE")
    if kind == "FILE":
        _turn_upright(background, orientation_of(path))
    else:
        follow_timeline(background, timeline)
    return True


def shows_turned(camera: bpy.types.Object, size: tuple[int, int]) -> bool:
    """Whether Blender shows the video behind `camera`, whose upright `size` is (width, height), other than its file
    asks: before 4.5 it does not know that a phone was held upright, and no version knows of mirrors."""
    for background in camera.data.background_images[:1]:
        image = background.image
        if image is not None and image.source == "MOVIE":
            wanted = orientation_of_video(full_path(image.filepath))
            on_side = size[0] != size[1] and tuple(image.size) == size[::-1]
            return on_side or blender_turns_to(wanted) != wanted
    return False


def _new_background(camera: bpy.types.Camera) -> Any:
    background = camera.background_images.new()
    background.alpha = 1.0
    camera.show_background_images = True
    return background


def follow_timeline(background: Any, timeline: Timeline) -> None:
    """Have a camera's background, or a texture node, show file (or movie frame) n at scene frame n - shift.

    Movies count from 1, as the numbers of a video do.
    """
    user = background.image_user
    movie = background.image.source == "MOVIE"
    first = 1 if movie else timeline.first + timeline.shift
    last = timeline.last + timeline.shift
    user.frame_start = first - timeline.shift
    user.frame_duration = max(last, background.image.frame_duration if movie else 0) - first + 1
    user.frame_offset = first - 1
    user.use_auto_refresh = True


def _turn_upright(background: Any, orientation: int) -> None:
    turn, mirror = _UPRIGHT[orientation]
    background.rotation = math.radians(turn)
    background.use_flip_x = mirror


SAME_SHAPE = 1e-3  # relative: less than two pixels of a 2K plate


def frame_shape(render: bpy.types.RenderSettings) -> float:
    """Width over height of the scene's frame as it is seen."""
    return float(render.pixel_aspect_x * render.resolution_x / (render.pixel_aspect_y * render.resolution_y))


def fit_plate(camera: bpy.types.Camera, size: tuple[int, int], shape: float, render: bpy.types.RenderSettings) -> None:
    """Lay the background of `camera`, a picture of `size` (width, height) pixels seen in `shape` (width over height),
    over the camera's frame.

    The lens is fitted to the picture's width, so the picture has the frame's width whatever its own shape: one of
    another shape than the scene's resolution sticks out, or leaves room, above and below.
    """
    frame = frame_shape(render)
    for background in camera.background_images[:1]:
        turned = abs(math.sin(background.rotation)) > 0.5
        stored = size[1] / size[0] if turned else size[0] / size[1]
        if not turned and abs(frame / shape - 1) < SAME_SHAPE < abs(shape / stored - 1):
            background.frame_method = "STRETCH"  # the only one that knows pixels that are not square
        else:
            # Blender fits the stored picture and turns it afterwards
            background.frame_method = "FIT" if stored > frame - 1e-6 else "CROP"
        background.scale = stored if turned else 1.0
