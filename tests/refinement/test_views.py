"""Which frames of a result share one lens, told by the lenses that they have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vggt_blender.exchange.known import Known
from vggt_blender.exchange.reconstruction import Frame, Pose
from vggt_blender.refinement.views import Views, sharing_lenses, views_of


def views(focal: Sequence[float | None], k1: Sequence[float] | None = None, known: Known | None = None) -> Views:
    """The cameras of frames with these focal lengths; without one a frame is not placed."""
    frames = []
    for k, (value, term) in enumerate(zip(focal, k1 or [0.0] * len(focal), strict=True)):
        distortion = (term, 0.0, 0.0, 0.0, 0.0) if term else None
        pose = None if value is None else Pose(np.eye(3, 4), value, value, 200.0, 150.0, distortion)
        frames.append(Frame(f"{k}", "", k, None, 400, 300, pose))
    return sharing_lenses(views_of(frames, known or Known()))


def groups(focal: Sequence[float | None], k1: Sequence[float] | None = None) -> list[list[int]]:
    found = views(focal, k1).groups
    return [np.flatnonzero(found == group).tolist() for group in dict.fromkeys(found.tolist())]


def test_one_lens_is_shared_also_by_frames_without_a_place() -> None:
    assert groups([500.0, 500.0, None, 500.0]) == [[0, 1, 2, 3]]


@pytest.mark.parametrize("growth", [1.005, 1.06, 1.5])
def test_a_zoom_keeps_the_lens_of_every_frame(growth: float) -> None:
    focal = np.linspace(500, 500 * growth, 12).tolist()
    assert groups(focal) == [[k] for k in range(12)]
    assert [lens.fx for lens in views(focal).lenses] == focal


def test_two_cameras_of_about_the_same_focal_length_keep_their_lenses() -> None:
    focal, k1 = [500.0, 503.0, 500.0, 503.0, 503.0], [-0.1, 0.02, -0.1, 0.02, 0.02]
    assert groups(focal, k1) == [[0, 2], [1, 3, 4]]
    assert [lens.distortion[0] for lens in views(focal, k1).lenses] == k1
    assert groups([500.0] * 5, k1) == [[0, 2], [1, 3, 4]], "distortion alone tells them apart"


def test_noisy_estimates_of_one_lens_become_the_middle_one() -> None:
    focal = (500 * (1 + np.random.default_rng(0).normal(0, 0.01, 13))).tolist()
    assert groups(focal) == [list(range(13))]
    assert {lens.fx for lens in views(focal).lenses} == {np.median(focal)}


def test_a_focal_length_that_is_known_is_shared() -> None:
    found = views(np.linspace(480, 520, 8).tolist(), known=Known(focal_px=510))
    assert len(set(found.groups.tolist())) == 1
    assert {lens.fx for lens in found.lenses} == {510}


def test_frames_whose_centres_lie_apart_keep_their_lenses() -> None:
    """Stabilisation moves the picture about on the sensor, behind a lens of one focal length."""
    centers = [200.0, 212.0, 195.0, 188.0]
    poses = [Pose(np.eye(3, 4), 500.0, 500.0, cx, 150.0, None) for cx in centers]
    frames = [Frame(f"{k}", "", k, None, 400, 300, pose) for k, pose in enumerate(poses)]
    found = sharing_lenses(views_of(frames))
    assert len(set(found.groups.tolist())) == len(centers)
    assert [lens.cx for lens in found.lenses] == centers
