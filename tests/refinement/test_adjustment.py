"""Bundle adjustment from what exact cameras see."""

from __future__ import annotations

import cv2
import numpy as np

from vggt_blender.geometry.cameras import Lens, project
from vggt_blender.refinement.adjustment import Freedom, adjust
from vggt_blender.refinement.tracks import Observations
from vggt_blender.refinement.views import Views

FRAMES, POINTS = 6, 150


def test_a_lens_with_all_its_terms_keeps_one_focal_length() -> None:
    """Noise would give it another one across than down."""
    rng = np.random.default_rng(4)
    lens = Lens(400.0, 400.0, 200.0, 150.0, (-0.05, 0.01, 0.002, -0.001, 0.0))
    world = rng.uniform([-2.0, -1.5, 4.0], [2.0, 1.5, 8.0], (POINTS, 3))
    yaw, places = np.linspace(0.4, -0.4, FRAMES), np.linspace([-3.0, -0.5, 0.0], [3.0, 0.5, 1.0], FRAMES)
    rotations = [cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0] for angle in yaw]
    poses = np.stack([np.column_stack([r, -r @ place]) for r, place in zip(rotations, places, strict=True)])
    seen = np.stack([project(world, pose, lens)[0] for pose in poses], axis=1)
    seen += rng.normal(0, 0.3, seen.shape)
    table = Observations(np.repeat(np.arange(POINTS), FRAMES), np.tile(np.arange(FRAMES), POINTS), seen.reshape(-1, 2))
    start = Lens(410.0, 410.0, lens.cx, lens.cy, lens.distortion)
    views = Views(
        poses,
        (start,) * FRAMES,
        np.zeros(FRAMES, np.intp),
        np.full((FRAMES, 2), (400.0, 300.0)),
        np.ones(FRAMES),
        np.ones(FRAMES, np.bool_),
    )
    found = adjust(table, views, Freedom.FOCAL, (16.0, 4.0)).views.lenses[0]
    assert found.fx == found.fy
    assert abs(found.fx / 400 - 1) < 0.01
    assert found.distortion == lens.distortion
