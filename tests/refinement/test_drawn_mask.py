"""A mask drawn in Blender around something that moves, and what it is worth by truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

bpy = pytest.importorskip("bpy")


def follow(shot: Path) -> tuple[Any, Any]:
    """A clip of the shot with a track on what moves, and a mask around it that hangs on the track."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    files = sorted(shot.glob("shot.*.png"))
    clip = bpy.data.movieclips.load(str(files[0]))
    tracked = clip.tracking.objects[0]
    track = tracked.tracks.new(name="actor", frame=1)
    boxes = []
    for frame, path in enumerate(files, start=1):
        hidden = np.asarray(Image.open(shot / "masks" / path.name)) < 128
        rows, columns = np.nonzero(hidden)
        height, width = hidden.shape
        middle = np.array([columns.mean() / width, 1 - rows.mean() / height])
        track.markers.insert_frame(frame, co=middle)
        boxes.append([np.abs(columns / width - middle[0]).max(), np.abs(1 - rows / height - middle[1]).max()])
    first, half = np.array(track.markers[0].co), np.max(boxes, axis=0) + 0.01
    mask = bpy.data.masks.new("actor")
    spline = mask.layers.new(name="actor").splines.new()
    spline.use_cyclic = True
    spline.points.add(4 - len(spline.points))
    for point, corner in zip(spline.points, ([-1, -1], [1, -1], [1, 1], [-1, 1]), strict=True):
        x, y = first + half * corner
        point.handle_type = "VECTOR"
        point.co = point.handle_left = point.handle_right = (x, (y - 0.5) * height / width + 0.5)
        point.parent.id_type, point.parent.id = "MOVIECLIP", clip
        point.parent.parent, point.parent.sub_parent = tracked.name, track.name
    return clip, mask


def test_it_keeps_what_moves_out_of_the_solve(shots: Any, painted: Any, unmasked_error: float, tmp_path: Path) -> None:
    from vggt_blender.scene.drawn_masks import draw_masks

    shot, truth = shots["mover"]
    clip, mask = follow(shot)
    names = {frame: known.name.removesuffix(".png") for frame, known in enumerate(truth.frames, start=1)}
    drawn = draw_masks(mask, clip, names, tmp_path / "drawn", bpy.context.scene)
    masked = painted.moving_error(tmp_path / "r", shot, truth, str(drawn))
    assert masked < 0.3
    assert unmasked_error > 2 * masked
