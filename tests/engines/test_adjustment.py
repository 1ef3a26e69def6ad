"""The last adjustment by truth: known cameras and points, and observations with a known noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import pycolmap
import pytest

from vggt_blender.engines.colmap.adjustment import WEAK, adjust, focal_hold, plainest_lens
from vggt_blender.engines.colmap.mapping import initial_camera
from vggt_blender.exchange.known import Known

SolveOf: TypeAlias = Callable[..., pycolmap.Reconstruction]

NOISE = 0.05
LOSS = 0.1


def model(
    solve_of: SolveOf, poses: list[np.ndarray], xyz: np.ndarray, focal: float, terms: tuple[float, ...] = ()
) -> pycolmap.Reconstruction:
    """A reconstruction of 640 x 360 frames that see `xyz` with noise; its camera starts without distortion."""
    rng = np.random.default_rng(0)
    lens = initial_camera(1, 640, 360, focal, terms or (0, 0))
    start = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", focal, 640, 360)
    seen = (lens.img_from_cam(xyz @ pose[:, :3].T + pose[:, 3]) + rng.normal(0, NOISE, (len(xyz), 2)) for pose in poses)
    return solve_of(xyz, [start], ((1, pose, pixels) for pose, pixels in zip(poses, seen, strict=True)))


def arc(count: int = 8) -> list[np.ndarray]:
    """Cameras around the point (0, 0, 6), which they look at."""
    poses = []
    for angle in np.linspace(-0.6, 0.6, count):
        turn = cv2.Rodrigues(np.array([0.1 * np.sin(5 * angle), angle, 0.0]))[0]
        poses.append(np.column_stack([turn, np.array([0, 0, 6.0]) - turn @ [0, 0, 6.0]]))
    return poses


def dolly(count: int = 8) -> list[np.ndarray]:
    """Cameras on a line, all looking the same way."""
    return [np.column_stack([np.eye(3), [-0.15 * step, 0, 0]]) for step in range(count)]


def cloud(depth: float, thickness: float, width: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.column_stack(
        [rng.uniform(-width, width, (300, 2)) * [1, 0.5], rng.uniform(-1, 1, 300) * thickness + depth]
    )


@pytest.mark.parametrize(
    ("terms", "lens"), [((), "SIMPLE_PINHOLE"), ((-0.08, 0.0), "SIMPLE_RADIAL"), ((-0.2, 0.25), "RADIAL")]
)
def test_the_lens_gets_no_more_terms_than_the_pictures_ask_for(
    solve_of: SolveOf, terms: tuple[float, ...], lens: str
) -> None:
    found = plainest_lens(model(solve_of, arc(), cloud(6, 1.5, 3.0), 500, terms), LOSS, Known())
    camera = found.cameras[1]
    assert camera.model_name == lens
    assert camera.params[0] == pytest.approx(500, rel=2e-3)
    np.testing.assert_allclose(camera.params[3:], terms[: len(camera.params) - 3], atol=0.02)


def test_a_focal_length_that_the_pictures_do_not_tell_is_noticed(solve_of: SolveOf) -> None:
    strong, weak = model(solve_of, arc(), cloud(6, 1.5, 2.5), 500), model(solve_of, dolly(), cloud(60, 3.0, 15.0), 1500)
    for made in (strong, weak):
        adjust(made, LOSS, Known())
    held, loose = focal_hold(strong, LOSS, Known()), focal_hold(weak, LOSS, Known())
    assert held is not None
    assert loose is not None
    assert held > 5 * WEAK
    assert loose < WEAK


def test_a_known_focal_length_is_held_and_not_doubted(solve_of: SolveOf) -> None:
    known = Known(focal_px=510.0)
    made = model(solve_of, arc(), cloud(6, 1.5, 2.5), 500)
    made.cameras[1].params = [510.0, 320, 180, 0]
    adjust(made, LOSS, known)
    assert made.cameras[1].params[0] == 510.0
    assert focal_hold(made, LOSS, known) is None


def test_a_given_lens_with_all_its_terms_has_one_focal_length(solve_of: SolveOf) -> None:
    """COLMAP's own camera with tangential terms has two; a dolly along the view leaves both of them loose."""
    terms = (-0.05, 0.01, 0.001, -0.001, 0.0)
    known = Known(distortion=terms)
    strong, weak = (
        model(solve_of, arc(), cloud(6, 1.5, 2.5), 500, terms),
        model(solve_of, dolly(), cloud(60, 3.0, 15.0), 1500, terms),
    )
    for made, focal in ((strong, 500), (weak, 1500)):
        camera, start = made.cameras[1], initial_camera(1, 640, 360, 1.01 * focal, terms)
        camera.model, camera.params = start.model, start.params
        adjust(made, LOSS, known)
        assert camera.focal_length_x == camera.focal_length_y
        np.testing.assert_array_equal(camera.params[4:9], terms)
    assert strong.cameras[1].focal_length_x == pytest.approx(500, rel=2e-3)
    held, loose = focal_hold(strong, LOSS, known), focal_hold(weak, LOSS, known)
    assert held is not None
    assert loose is not None
    assert held > 5 * WEAK
    assert loose < WEAK
