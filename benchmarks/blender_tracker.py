"""Blender's own tracker on one shot, as its users would: track features forwards, solve, clean, solve again.

Runs inside Blender: ``blender -b --python benchmarks/blender_tracker.py -- FIRST_PICTURE RESULT.json [FOCAL_PX]``.
Writes camera_from_world and the focal length in pixels of every solved frame; with FOCAL_PX the lens is given and held.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import bpy
from mathutils import Matrix

LEAST_LIFE = 8
"""Tracks that live for fewer frames are deleted, as Clean Tracks does."""

FEWEST_TRACKS = 8
LARGEST_ERROR = 2.0
"""Pixels: after the first solve tracks that are off by more are deleted, and it is solved again. The better one counts:
that of more frames, then that of the smaller error."""


def main() -> None:
    arguments = sys.argv[sys.argv.index("--") + 1 :]
    began = time.monotonic()
    clip = bpy.data.movieclips.load(arguments[0])
    scene = bpy.context.scene
    scene.active_clip = clip
    scene.frame_start, scene.frame_end = 1, clip.frame_duration
    camera = clip.tracking.camera
    camera.sensor_width, camera.units = 36.0, "PIXELS"
    if len(arguments) > 2:
        camera.focal_length_pixels = float(arguments[2])
    settings = clip.tracking.settings
    settings.use_keyframe_selection = True
    settings.refine_intrinsics_focal_length = len(arguments) <= 2
    with bpy.context.temp_override(**clip_editor(clip)):
        scene.frame_set(1)
        spacing = max(8, round(max(clip.size) / 40))
        bpy.ops.clip.detect_features(placement="FRAME", margin=16, threshold=0.1, min_distance=spacing)
        bpy.ops.clip.track_markers(backwards=False, sequence=True)
        bpy.ops.clip.clean_tracks(frames=LEAST_LIFE, error=0.0, action="DELETE_TRACK")
        tracks = len(clip.tracking.tracks)
        solutions = [solution(clip)]
        for _ in range(2 if tracks >= FEWEST_TRACKS else 0):
            bpy.ops.clip.solve_camera()
            solutions.append(solution(clip))
            bpy.ops.clip.clean_tracks(frames=0, error=LARGEST_ERROR, action="DELETE_TRACK")
    best = max(solutions, key=lambda found: (len(found["frames"]), -found["error"]))
    result = {"blender": bpy.app.version_string, "seconds": time.monotonic() - began, "tracks": tracks, **best}
    Path(arguments[1]).write_text(json.dumps(result), encoding="utf-8")


def solution(clip: bpy.types.MovieClip) -> dict[str, object]:
    """What is solved now; no frames where nothing is."""
    solved, camera = clip.tracking.reconstruction, clip.tracking.camera
    return {
        "error": solved.average_error,
        "frames": {str(view.frame): camera_from_world(view.matrix) for view in solved.cameras if solved.is_valid},
        "focal_px": camera.focal_length_pixels,
        "distortion": [camera.k1, camera.k2, 0.0, 0.0, camera.k3],
    }


def clip_editor(clip: bpy.types.MovieClip) -> dict[str, object]:
    """A context in which the clip's operators run; without a window Blender still has one to work in."""
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "CLIP_EDITOR"
    area.spaces.active.clip = clip
    region = next(region for region in area.regions if region.type == "WINDOW")
    return {"window": window, "area": area, "region": region}


def camera_from_world(matrix: Matrix) -> list[list[float]]:
    """The (3, 4) pose with OpenCV's camera axes; the world keeps Blender's."""
    flipped = Matrix.Diagonal((1, -1, -1, 1)) @ matrix.inverted()
    return [list(row) for row in flipped][:3]


if __name__ == "__main__":
    main()
