"""A scene that was solved inside out, by truth: exact cameras and points seen with a known noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import pycolmap
import pytest

from vggt_blender.engines.colmap.adjustment import FIRST_LOSS, adjust
from vggt_blender.engines.colmap.features import Features
from vggt_blender.engines.colmap.matching import VerifiedPair
from vggt_blender.engines.colmap.reversal import right_side_out
from vggt_blender.exchange.known import Known

SolveOf: TypeAlias = Callable[..., pycolmap.Reconstruction]

FOCAL, NOISE, COUNT = 400.0, 0.15, 12


def arm_pan(solve_of: SolveOf, radius: float, inside_out: bool) -> pycolmap.Reconstruction:
    """A camera on an arm of `radius` that pans by 50 degrees past things 4 to 20 away, solved inside out or right."""
    rng = np.random.default_rng(0)
    angles, nearness = rng.uniform(-0.9, 0.9, 900), 1 / rng.uniform(4, 20, 900)
    xyz = np.column_stack([np.sin(angles), rng.uniform(-0.3, 0.3, 900), np.cos(angles)]) / nearness[:, None]
    start = xyz * (nearness / (nearness.min() + nearness.max() - nearness))[:, None] if inside_out else xyz
    frames = []
    for number, angle in enumerate(np.linspace(-0.44, 0.44, COUNT), 1):
        turn = cv2.Rodrigues(np.array([0.02 * np.sin(3 * number), -angle, 0.0]))[0]
        center = radius * np.array([np.sin(angle), 0.05 * np.sin(2 * number), np.cos(angle)])
        seen = (xyz - center) @ turn.T
        pixels = FOCAL * seen[:, :2] / seen[:, 2:] + [240, 135] + rng.normal(0, NOISE, (len(xyz), 2))
        pixels[~(((pixels > 0) & (pixels < [480, 270])).all(axis=1) & (seen[:, 2] > 0))] = np.nan
        placed = -center if inside_out else center
        frames.append((1, np.column_stack([turn, -turn @ placed]), pixels))
    made = solve_of(start, [pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", FOCAL, 480, 270)], frames)
    for identifier in [key for key, point in made.points3D.items() if point.track.length() < 3]:
        made.delete_point3D(identifier)
    return made


def depth_order(model: pycolmap.Reconstruction, truth: pycolmap.Reconstruction) -> float:
    """Correlation of the points' inverse distances: 1 where near is near."""
    both = sorted(set(model.points3D) & set(truth.points3D))
    found, true = ([1 / np.linalg.norm(each.points3D[key].xyz) for key in both] for each in (model, truth))
    return float(np.corrcoef(found, true)[0, 1])


def matches(model: pycolmap.Reconstruction) -> tuple[list[Features], list[VerifiedPair]]:
    """What frames see in common with the next three, as the matcher would hand it over."""
    images = [model.images[number] for number in range(1, COUNT + 1)]
    features = [Features(np.array([point.xy for point in image.points2D]), np.zeros((0, 128))) for image in images]
    seen = [set(image.get_observation_point2D_idxs()) for image in images]
    pairs = []
    for first in range(COUNT):
        for second in range(first + 1, min(first + 4, COUNT)):
            rows = np.array([[k, k] for k in sorted(seen[first] & seen[second])], np.uint32).reshape(-1, 2)
            geometry = pycolmap.TwoViewGeometry()
            geometry.inlier_matches = rows
            pairs.append(VerifiedPair(first, second, rows, geometry))
    return features, pairs


@pytest.mark.parametrize("inside_out", [True, False])
def test_near_is_near_whichever_side_the_solve_begins_at(solve_of: SolveOf, inside_out: bool) -> None:
    truth, start = arm_pan(solve_of, 0.25, False), arm_pan(solve_of, 0.25, inside_out)
    adjust(start, FIRST_LOSS, Known())
    if inside_out:
        assert depth_order(start, truth) < 0, "the adjustment alone does not come back"
    found = right_side_out(start, *matches(start), Known())
    assert depth_order(found, truth) > 0.95
    assert (found is start) is not inside_out


def test_a_camera_that_moves_is_left_alone(solve_of: SolveOf) -> None:
    start = arm_pan(solve_of, 3.0, True)
    assert right_side_out(start, *matches(start), Known()) is start
