"""The plate as a movie clip, with the solved lens on its tracking camera: Blender's tracker can take over."""

from __future__ import annotations

import bpy
import numpy as np

from ..exchange.messages import JobError
from ..exchange.reconstruction import Reconstruction
from .cameras import lenses, registered
from .collection import ID, Holder
from .lenses import lens_of
from .plate import picture_path
from .stored_paths import leads_to
from .timeline import Timeline


def find_clip(holder: Holder) -> bpy.types.MovieClip | None:
    """The clip of this shot, whatever the artist called it."""
    return next((clip for clip in bpy.data.movieclips if clip.get(ID) == holder.collection[ID]), None)


def build_clip(
    holder: Holder, reconstruction: Reconstruction, timeline: Timeline, scene: bpy.types.Scene
) -> bpy.types.MovieClip:
    """The shot's clip at the shot's frames, its lens set; the one that is there is brought up to date.

    It becomes the scene's active clip where there is none. Raises `JobError` for stills and where the plate is gone.
    """
    if not timeline.shot:
        raise JobError("stills", "Separate photos are no clip: this needs a video or an image sequence.")
    path = picture_path(reconstruction, reconstruction.frames[0])
    if not path.is_file():
        raise JobError("not_found", f"The plate is no longer at '{path}'.")
    clip = find_clip(holder)
    if clip is None:
        clip = bpy.data.movieclips.load(str(path))
        clip.name = holder.name
        clip[ID] = holder.collection[ID]
    elif not leads_to(clip.filepath, path):
        clip.filepath = str(path)
        bpy.context.view_layer.update()  # only then it has the new plate's size
    # a sequence starts with the file that it was loaded from, a video with its first frame
    clip.frame_start = 1 - timeline.shift if reconstruction.source.kind == "video" else timeline.frame(0)
    _set_lens(clip, reconstruction)
    if scene.active_clip is None:
        scene.active_clip = clip
    return clip


def clip_frame(clip: bpy.types.MovieClip, frame: int) -> int:
    """The clip's own number of a scene frame: markers are counted so."""
    return int(frame - clip.frame_start + 1)


def _set_lens(clip: bpy.types.MovieClip, reconstruction: Reconstruction) -> None:
    """The median lens: a tracking camera has one. Its axes have y up, so OpenCV's p1 and p2 change places and sign."""
    frames = [reconstruction.frames[position] for position in registered(reconstruction)]
    solved = lenses(frames)
    camera = clip.tracking.camera
    camera.pixel_aspect = solved.pixel_aspect[0] / solved.pixel_aspect[1]
    camera.sensor_width = solved.sensor_width_mm
    camera.units = "MILLIMETERS"
    camera.focal_length = float(np.median(solved.focal_mm))
    found = [lens_of(frame) for frame in frames]
    height = frames[0].height
    camera.principal_point_pixels = (
        float(np.median([lens.cx for lens in found])),
        height - float(np.median([lens.cy for lens in found])),
    )
    terms = np.median(np.array([lens.distortion or (0.0,) * 5 for lens in found]), axis=0)
    camera.distortion_model = "BROWN"
    camera.brown_k1, camera.brown_k2, camera.brown_k3, camera.brown_k4 = terms[0], terms[1], terms[4], 0.0
    camera.brown_p1, camera.brown_p2 = terms[3], -terms[2]
