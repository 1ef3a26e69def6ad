"""Frames of a rolling shutter are told from sharp ones and noisy ones, by truth: every line has its own, exact pose."""

from __future__ import annotations

import cv2
import numpy as np
import pycolmap
import pytest

from vggt_blender.engines.colmap.adjustment import FIRST_LOSS, adjust
from vggt_blender.engines.colmap.bending import is_bent
from vggt_blender.exchange.known import Known

COUNT, FOCAL, WIDTH, HEIGHT = 10, 500.0, 640, 360


def pose_at(time: float) -> np.ndarray:
    """A hand-held camera (3, 4): it goes sideways, and turns to and fro by two degrees within two frames."""
    turn = cv2.Rodrigues(np.radians([2.0 * np.sin(2.1 * time), 2.0 * np.cos(1.3 * time), 0.0]))[0]
    return np.column_stack([turn, [-0.15 * time, 0.02 * np.sin(time), 0.0]])


def adjusted(readout: float, noise: float) -> pycolmap.Reconstruction:
    """A solve, one pose a frame, of frames whose lines are read within the part `readout` of the time to the next."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform([-1.5, -0.9, 3.5], [2.2, 0.9, 9], (500, 3))
    made = pycolmap.Reconstruction()
    made.add_camera_with_trivial_rig(pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", FOCAL, WIDTH, HEIGHT))
    points = [made.add_point3D(place, pycolmap.Track(), np.zeros(3, np.uint8)) for place in xyz]
    for number in range(COUNT):
        pixels = np.empty((len(xyz), 2))
        for row, place in enumerate(xyz):
            line = HEIGHT / 2
            for _ in range(4):
                pose = pose_at(number + readout * (line / HEIGHT - 0.5))
                seen = pose[:, :3] @ place + pose[:, 3]
                pixels[row] = FOCAL * seen[:2] / seen[2] + [WIDTH / 2, HEIGHT / 2]
                line = pixels[row, 1]
        image = pycolmap.Image(name=f"{number}", camera_id=1, image_id=number + 1)
        pixels += rng.normal(0, noise, pixels.shape)
        image.points2D = pycolmap.Point2DList([pycolmap.Point2D(place) for place in pixels])
        made.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose_at(number)))
        for index, point in enumerate(points):
            made.add_observation(point, pycolmap.TrackElement(number + 1, index))
    adjust(made, FIRST_LOSS, Known())
    return made


@pytest.mark.parametrize("noise", [0.1, 0.8], ids=["sharp", "noisy"])
def test_frames_of_a_global_shutter_are_not_bent(noise: float) -> None:
    assert not is_bent(adjusted(0.0, noise))


def test_frames_of_a_rolling_shutter_are() -> None:
    assert is_bent(adjusted(0.7, 0.3))
