"""A camera that only turns, and zooms meanwhile, by truth: a painted sky drawn exactly by homographies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vggt_blender.engines import run_job
from vggt_blender.engines.colmap.mapping import DEFAULT_FOCAL
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.messages import Reporter
from vggt_blender.exchange.reconstruction import Reconstruction, load_reconstruction
from vggt_blender.geometry.cameras import camera_center
from vggt_blender.geometry.rotations import rotation_matrix

COUNT, WIDTH, HEIGHT, SKY = 9, 400, 300, 1400


def painting() -> np.ndarray:
    """(SKY, SKY) grey with detail at every scale."""
    rng = np.random.default_rng(3)
    sky = np.zeros((SKY, SKY))
    for size in (25, 50, 100, 200, 400):
        sky += cv2.resize(rng.normal(size=(size, size)), (SKY, SKY), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 25 * sky, 0, 255)


def pan(folder: Path, focals: np.ndarray, reach: float = 14.0) -> None:
    """Draw a pan by `reach` degrees to either side, through lenses of `focals` (COUNT,) pixels."""
    sky = painting()
    rng = np.random.default_rng(3)
    folder.mkdir()
    ray_of_texel = np.linalg.inv(np.array([[450, 0, SKY / 2], [0, 450, SKY / 2], [0, 0, 1.0]]))
    for number, (t, focal) in enumerate(zip(np.linspace(-1, 1, COUNT), focals, strict=True), 1):
        turn = rotation_matrix(np.radians([reach * 2 / 7 * np.sin(2 * t), reach * t, 1.0]))
        lens = np.array([[focal, 0, WIDTH / 2 - 0.5], [0, focal, HEIGHT / 2 - 0.5], [0, 0, 1.0]])
        drawn = cv2.warpPerspective(sky, lens @ turn @ ray_of_texel, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
        drawn = drawn + rng.normal(0, 1.5, drawn.shape)
        cv2.imwrite(str(folder / f"pan.{number:04d}.png"), np.clip(drawn, 0, 255).astype(np.uint8))


def solve(folder: Path, reporter: Reporter) -> Reconstruction:
    return load_reconstruction(run_job(Job((str(folder),), str(folder / "out"), engine="colmap"), reporter))


@pytest.mark.parametrize("zooms", [False, True], ids=["one lens", "a zoom"])
def test_a_pan_zooms_where_it_does(recorder: Any, tmp_path: Path, zooms: bool) -> None:
    focals = np.linspace(380, 470, COUNT) if zooms else np.full(COUNT, 400.0)
    pan(tmp_path / "pan", focals)
    result = solve(tmp_path / "pan", recorder)
    assert result.engine["settings"]["mapper"] == "turns"
    assert result.engine["settings"]["zooms"] == zooms
    assert any("lens zooms" in line for line in recorder.said) == zooms
    assert not result.engine["settings"]["lens_is_weak"]
    found = np.array([frame.pose.fx for frame in result.frames])
    np.testing.assert_allclose(found, focals, rtol=0.01)
    assert np.abs(np.diff(np.log(found), 2)).max() < 2e-3, "a smooth curve"


def test_photos_of_two_shapes_from_one_place_are_no_zoom(recorder: Any, tmp_path: Path) -> None:
    pan(tmp_path / "pan", np.full(COUNT, 400.0))
    for number, file in enumerate(sorted((tmp_path / "pan").iterdir())):
        picture = cv2.imread(str(file))
        cv2.imwrite(str(file.with_name(f"{'abcdefghi'[number]}.png")), picture[:, 75:325] if number % 2 else picture)
        file.unlink()
    result = solve(tmp_path / "pan", recorder)
    assert result.engine["settings"]["mapper"] == "turns"
    assert len({frame.pose.fx for frame in result.frames if frame.pose}) == 2
    assert result.engine["settings"]["zooms"] is False
    assert not any("zooms" in line for line in recorder.said)


def along_a_wall(folder: Path) -> None:
    """Draw a flat wall that the camera passes by from left to right."""
    wall = painting()
    folder.mkdir()
    rng = np.random.default_rng(4)
    lens = np.array([[480, 0, WIDTH / 2 - 0.5], [0, 480, HEIGHT / 2 - 0.5], [0, 0, 1.0]])
    for number, t in enumerate(np.linspace(-1, 1, 6), 1):
        turn = rotation_matrix(np.radians(rng.normal(0, 0.3, 3)))
        ray_of_texel = np.array([[1 / 500, 0, -SKY / 1000], [0, 1 / 500, -SKY / 1000], [0, 0, 1.0]])
        moved = ray_of_texel - np.outer([0.4 * t, 0.02 * np.sin(3 * t), 0], [0, 0, 1])
        drawn = cv2.warpPerspective(wall, lens @ turn @ moved, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
        drawn = drawn + rng.normal(0, 1.5, drawn.shape)
        cv2.imwrite(str(folder / f"wall.{number:04d}.png"), np.clip(drawn, 0, 255).astype(np.uint8))


@pytest.mark.slow
@pytest.mark.usefixtures("cameras_alone")
def test_a_move_along_a_wall_is_no_turn(recorder: Any, tmp_path: Path) -> None:
    """A lens that is far too long makes turns of it; no picture tells how long the lens is, and that is said."""
    along_a_wall(tmp_path / "wall")
    result = solve(tmp_path / "wall", recorder)
    assert result.engine["settings"]["mapper"] != "turns"
    assert result.engine["settings"]["lens_is_weak"]
    assert any("little about the focal length" in line for line in recorder.said)
    poses = np.stack([frame.pose.camera_from_world for frame in result.frames])
    turned = np.degrees(np.arccos(np.clip((np.trace(poses[:, :, :3], axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert turned.max() < 3, "it is the place that changes"
    steps = np.diff(camera_center(poses), axis=0)
    assert (steps[:, 0] > 3 * np.abs(steps[:, 1:]).max(axis=1)).all()


@pytest.mark.slow
def test_a_camera_that_stands_still_has_the_usual_lens_and_says_so(recorder: Any, tmp_path: Path) -> None:
    """With no turn at all every focal length explains the pictures."""
    pan(tmp_path / "still", np.full(COUNT, 400.0), reach=0.0)
    result = solve(tmp_path / "still", recorder)
    assert result.engine["settings"]["mapper"] == "turns"
    assert result.engine["settings"]["lens_is_weak"]
    assert any("little about the focal length" in line for line in recorder.said)
    assert [frame.pose.fx for frame in result.frames] == pytest.approx(COUNT * [DEFAULT_FOCAL * WIDTH])
