"""Frames of a rolling shutter are told from sharp ones and noisy ones, by truth: every line has its own, exact pose."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import pycolmap
import pytest

from vggt_blender.engines.colmap.adjustment import FIRST_LOSS, adjust
from vggt_blender.engines.colmap.bending import is_bent
from vggt_blender.exchange.known import Known

SolveOf: TypeAlias = Callable[..., pycolmap.Reconstruction]

COUNT, FOCAL, WIDTH, HEIGHT = 10, 500.0, 640, 360


def pose_at(time: float) -> np.ndarray:
    """A hand-held camera (3, 4): it goes sideways, and turns to and fro by two degrees within two frames."""
    turn = cv2.Rodrigues(np.radians([2.0 * np.sin(2.1 * time), 2.0 * np.cos(1.3 * time), 0.0]))[0]
    return np.column_stack([turn, [-0.15 * time, 0.02 * np.sin(time), 0.0]])


def adjusted(solve_of: SolveOf, readout: float, noise: float) -> pycolmap.Reconstruction:
    """A solve, one pose a frame, of frames whose lines are read within the part `readout` of the time to the next."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform([-1.5, -0.9, 3.5], [2.2, 0.9, 9], (500, 3))
    frames = []
    for number in range(COUNT):
        pixels = np.empty((len(xyz), 2))
        for row, place in enumerate(xyz):
            line = HEIGHT / 2
            for _ in range(4):
                pose = pose_at(number + readout * (line / HEIGHT - 0.5))
                seen = pose[:, :3] @ place + pose[:, 3]
                pixels[row] = FOCAL * seen[:2] / seen[2] + [WIDTH / 2, HEIGHT / 2]
                line = pixels[row, 1]
        frames.append((1, pose_at(number), pixels + rng.normal(0, noise, pixels.shape)))
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", FOCAL, WIDTH, HEIGHT)
    made = solve_of(xyz, [camera], frames)
    adjust(made, FIRST_LOSS, Known())
    return made


@pytest.mark.parametrize("noise", [0.1, 0.8], ids=["sharp", "noisy"])
def test_frames_of_a_global_shutter_are_not_bent(solve_of: SolveOf, noise: float) -> None:
    assert not is_bent(adjusted(solve_of, 0.0, noise), FIRST_LOSS)


def test_frames_of_a_rolling_shutter_are(solve_of: SolveOf) -> None:
    assert is_bent(adjusted(solve_of, 0.7, 0.3), FIRST_LOSS)
