"""A camera that only turns, and zooms meanwhile, by truth: a painted sky drawn exactly by homographies."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vggt_blender.engines import run_job
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.reconstruction import Reconstruction, load_reconstruction
from vggt_blender.refinement.rotations import rotation_matrix

COUNT, WIDTH, HEIGHT, SKY = 9, 400, 300, 1400


class Recorder:
    """Keeps what the engine says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def progress(self, stage: str, done: int, total: int) -> None: ...

    def status(self, message: str) -> None:
        self.said.append(message)

    def warning(self, message: str) -> None:
        self.said.append(message)


def pan(folder: Path, focals: np.ndarray) -> None:
    """Draw a pan across a picture with detail at every scale, through lenses of `focals` (COUNT,) pixels."""
    rng = np.random.default_rng(3)
    sky = np.zeros((SKY, SKY))
    for size in (25, 50, 100, 200, 400):
        sky += cv2.resize(rng.normal(size=(size, size)), (SKY, SKY), interpolation=cv2.INTER_CUBIC)
    sky = np.clip(128 + 25 * sky, 0, 255)
    folder.mkdir()
    ray_of_texel = np.linalg.inv(np.array([[450, 0, SKY / 2], [0, 450, SKY / 2], [0, 0, 1.0]]))
    for number, (t, focal) in enumerate(zip(np.linspace(-1, 1, COUNT), focals, strict=True), 1):
        turn = rotation_matrix(np.radians([4 * np.sin(2 * t), 14 * t, 1.0]))
        lens = np.array([[focal, 0, WIDTH / 2 - 0.5], [0, focal, HEIGHT / 2 - 0.5], [0, 0, 1.0]])
        drawn = cv2.warpPerspective(sky, lens @ turn @ ray_of_texel, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
        drawn = drawn + rng.normal(0, 1.5, drawn.shape)
        cv2.imwrite(str(folder / f"pan.{number:04d}.png"), np.clip(drawn, 0, 255).astype(np.uint8))


def solve(folder: Path, reporter: Recorder) -> Reconstruction:
    return load_reconstruction(run_job(Job((str(folder),), str(folder / "out"), engine="colmap"), reporter))


@pytest.mark.parametrize("zooms", [False, True], ids=["one lens", "a zoom"])
def test_a_pan_zooms_where_it_does(tmp_path: Path, zooms: bool) -> None:
    focals = np.linspace(380, 470, COUNT) if zooms else np.full(COUNT, 400.0)
    pan(tmp_path / "pan", focals)
    recorder = Recorder()
    result = solve(tmp_path / "pan", recorder)
    assert result.engine["settings"]["mapper"] == "turns"
    assert result.engine["settings"]["zooms"] == zooms
    assert any("lens zooms" in line for line in recorder.said) == zooms
    found = np.array([frame.pose.fx for frame in result.frames])
    np.testing.assert_allclose(found, focals, rtol=0.01)
    assert np.abs(np.diff(np.log(found), 2)).max() < 2e-3, "a smooth curve"
