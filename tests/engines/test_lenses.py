"""Photos of several lenses that nobody told apart, by truth: exact cameras and points seen with a known noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import pycolmap
import pytest

from vggt_blender.engines import run_job
from vggt_blender.engines.colmap.lenses import FEW_PHOTOS, alike, lenses_apart
from vggt_blender.engines.colmap.matching import VerifiedPair
from vggt_blender.engines.colmap.unplaced import FEW_POINTS, reasons, shaky
from vggt_blender.engines.colmap.zoom import focals, regrouped
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.known import Known

SolveOf: TypeAlias = Callable[..., pycolmap.Reconstruction]

NOISE = 0.15
COUNT = 9
ONE = dict.fromkeys(range(1, COUNT + 1), 1)
EACH = {number: number for number in range(1, COUNT + 1)}


def solved(
    solve_of: SolveOf, true_focals: np.ndarray, lens_of: dict[int, int], guess: float
) -> pycolmap.Reconstruction:
    """Photos of 640 x 480 on an arc about a deep cloud, solved with `lens_of` all at the focal length `guess`."""
    rng = np.random.default_rng(0)
    xyz = np.column_stack([rng.uniform(-1, 1, 400), rng.uniform(-0.8, 0.8, 400), rng.uniform(4, 8, 400)])
    cameras = [
        pycolmap.Camera.create_from_model_name(lens, "SIMPLE_RADIAL", guess, 640, 480)
        for lens in sorted(set(lens_of.values()))
    ]
    frames = []
    for number, (angle, focal) in enumerate(zip(np.linspace(-0.6, 0.6, COUNT), true_focals, strict=True), 1):
        turn = cv2.Rodrigues(np.array([0.15 * np.sin(7 * angle), angle, 0.0]))[0]
        pose = np.column_stack([turn, np.array([0, 0, 6.0]) - turn @ [0, 0, 6.0]])
        seen = xyz @ pose[:, :3].T + pose[:, 3]
        pixels = focal * seen[:, :2] / seen[:, 2:] + [320, 240] + rng.normal(0, NOISE, (len(xyz), 2))
        frames.append((lens_of[number], pose, pixels))
    return solve_of(xyz, cameras, frames)


def test_photos_of_three_lenses_are_told_apart_and_share_what_they_share(solve_of: SolveOf) -> None:
    true = np.array([500, 700, 500, 500, 1000, 700, 500, 1000, 500.0])
    plain = solved(solve_of, true, ONE, 600)
    found, lenses = lenses_apart(plain, COUNT, ONE, lambda: solved(solve_of, true, EACH, 600), Known())
    assert found is not None
    assert lenses == 3
    np.testing.assert_allclose(focals(found), true, rtol=0.01)


def test_one_lens_stays_one_lens(solve_of: SolveOf) -> None:
    def never() -> None:
        raise AssertionError("nothing asks for a second solve")

    found, lenses = lenses_apart(solved(solve_of, np.full(COUNT, 620.0), ONE, 600), COUNT, ONE, never, Known())
    assert lenses == 1
    assert focals(found) == pytest.approx(620, rel=0.01)


def test_a_solve_that_went_astray_is_made_good_with_one_lens(solve_of: SolveOf) -> None:
    """Points that lie behind the cameras: the second solve finds it, and one lens is enough."""
    true = np.full(COUNT, 620.0)
    astray = solved(solve_of, true, ONE, 600)
    for point in astray.points3D.values():
        point.xyz = point.xyz * [1, 1, -1]
    second = regrouped(solved(solve_of, true, ONE, 600), EACH)
    found, lenses = lenses_apart(astray, COUNT, ONE, lambda: second, Known())
    assert lenses == 1
    assert focals(found) == pytest.approx(620, rel=0.01)


def test_lenses_are_shared_within_one_size_only() -> None:
    lens_of = alike(np.array([500, 505, 700, 510, 503.0]), [1, 2, 3, 4, 5], {1: 1, 2: 1, 3: 1, 4: 1, 5: 2})
    assert lens_of[1] == lens_of[2] == lens_of[4]
    assert len(set(lens_of.values())) == 3


def test_unplaced_photos_are_told_why() -> None:
    """b and c match each other alone, d matches a placed photo, e nothing."""
    nothing = np.zeros((0, 2), np.uint32)
    pairs = [VerifiedPair(a, b, nothing, pycolmap.TwoViewGeometry()) for a, b in ((0, 5), (1, 2), (0, 3))]
    alone, together, weak = reasons(list("abcdef"), pairs, {0, 5})
    assert "Nothing sure in e is seen" in alone
    assert together.startswith("b, c belong together")
    assert "joins d to the placed ones" in weak


def test_photos_that_few_points_hold_are_named() -> None:
    assert shaky(["a", "b"], [FEW_POINTS, 2 * FEW_POINTS]) == []
    (told,) = shaky(["a", "b", "c"], [FEW_POINTS, FEW_POINTS - 1, 12])
    assert "hold b, c:" in told


@pytest.mark.parametrize(("known", "told"), [(Known(), True), (Known(focal_mm=28, sensor_mm=36), False)])
def test_two_photos_of_an_unknown_lens_say_that_it_is_a_guess(
    recorder: Any, tmp_path: Path, known: Known, told: bool
) -> None:
    shot = Path(__file__).parents[1] / "data" / "truth" / "small_yard"
    for name, source in zip("ab", sorted(shot.glob("*.jpg"))[:7:6], strict=True):
        (tmp_path / f"{name}.jpg").write_bytes(source.read_bytes())
    run_job(Job((str(tmp_path),), str(tmp_path / "out"), engine="colmap", known=known), recorder)
    said = FEW_PHOTOS in recorder.warnings or any("focal length" in line for line in recorder.warnings)
    assert said == told
