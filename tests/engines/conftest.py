"""What tests of the engines share: solves made of exact points, and a reporter that remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
import pycolmap
import pytest

Sight: TypeAlias = tuple[int, np.ndarray, np.ndarray]
"""A frame: its camera's identifier, its pose (3, 4), and the pixels where it sees the points, (P, 2), NaN where not."""


class Recorder:
    """Keeps what an engine says; ``warnings`` are among what was ``said``."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warnings: list[str] = []

    def progress(self, stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total, stage

    def status(self, message: str) -> None:
        self.said.append(message)

    def warning(self, message: str) -> None:
        self.said.append(message)
        self.warnings.append(message)


@pytest.fixture(scope="session")
def recorder_type() -> type[Recorder]:
    """For tests that share a solve, or keep more."""
    return Recorder


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def solve_of() -> Callable[[np.ndarray, Sequence[pycolmap.Camera], Iterable[Sight]], pycolmap.Reconstruction]:
    """A solve with points at `xyz` (P, 3), its cameras, and its frames, which are numbered from 1; the observation of a
    point has the point's place in `xyz`."""

    def make(xyz: np.ndarray, cameras: Sequence[pycolmap.Camera], frames: Iterable[Sight]) -> pycolmap.Reconstruction:
        made = pycolmap.Reconstruction()
        for camera in cameras:
            made.add_camera_with_trivial_rig(camera)
        points = [made.add_point3D(place, pycolmap.Track(), np.zeros(3, np.uint8)) for place in xyz]
        for number, (camera_id, pose, pixels) in enumerate(frames, 1):
            image = pycolmap.Image(name=f"{number}", camera_id=camera_id, image_id=number)
            image.points2D = pycolmap.Point2DList([pycolmap.Point2D(place) for place in pixels])
            made.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose))
            for index in np.flatnonzero(np.isfinite(pixels).all(axis=1)):
                made.add_observation(points[index], pycolmap.TrackElement(number, int(index)))
        return made

    return make
