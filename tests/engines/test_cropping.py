"""Plates cut out of a larger picture, by truth: exact cameras and points seen with a known noise, and a real plate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import pycolmap
import pytest

from vggt_blender.engines import run_job
from vggt_blender.engines.colmap.adjustment import FIRST_LOSS, Center, adjust
from vggt_blender.engines.colmap.cropping import find_center, offsets_of
from vggt_blender.evaluation import evaluate_folder
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.reconstruction import load_reconstruction

SolveOf: TypeAlias = Callable[..., pycolmap.Reconstruction]

NOISE = 0.15
COUNT = 10
FOCAL = 520.0
SIZE = np.array([640, 360])
SMALL_YARD = Path(__file__).parents[1] / "data" / "truth" / "small_yard"

WANDER = np.random.default_rng(3).uniform(-18, 18, (COUNT, 2))


def model(
    solve_of: SolveOf, centers: np.ndarray, focals: float | np.ndarray = FOCAL, known: Known | None = None
) -> pycolmap.Reconstruction:
    """Frames around a deep cloud whose axes meet them `centers` (COUNT, 2) pixels from their middle."""
    rng = np.random.default_rng(0)
    xyz = np.column_stack([rng.uniform(-2.5, 2.5, 400), rng.uniform(-1.2, 1.2, 400), rng.uniform(3, 9, 400)])
    frames = []
    for angle, center, focal in zip(
        np.linspace(-0.5, 0.5, COUNT), centers, np.broadcast_to(focals, COUNT), strict=True
    ):
        turn = cv2.Rodrigues(np.array([0.1 * np.sin(5 * angle), angle, 0.0]))[0]
        pose = np.column_stack([turn, np.array([0, 0, 6.0]) - turn @ [0, 0, 6.0]])
        seen = xyz @ pose[:, :3].T + pose[:, 3]
        pixels = focal * seen[:, :2] / seen[:, 2:] + SIZE / 2 + center + rng.normal(0, NOISE, (len(xyz), 2))
        frames.append((1, pose, pixels))
    made = solve_of(xyz, [pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", FOCAL, *SIZE)], frames)
    adjust(made, FIRST_LOSS, known or Known())
    return made


def focal(found: pycolmap.Reconstruction) -> float:
    (value,) = {found.cameras[image.camera_id].params[0] for image in found.images.values()}
    return float(value)


def residuals(found: pycolmap.Reconstruction) -> list[float]:
    """Pixels between where the frames see the points and where those project."""
    return [
        float(np.linalg.norm(image.project_point(found.points3D[point.point3D_id].xyz) - point.xy))
        for image in found.images.values()
        for point in image.get_observation_points2D()
    ]


@pytest.mark.parametrize("known", [Known(), Known(focal_px=FOCAL)], ids=["free lens", "known lens"])
def test_the_axis_of_a_reframed_plate_is_found(solve_of: SolveOf, known: Known) -> None:
    offset = np.array([-96.0, 45.0])
    found, center = find_center(model(solve_of, np.tile(offset, (COUNT, 1)), known=known), COUNT, known)
    assert center is Center.ELSEWHERE
    assert found is not None
    np.testing.assert_allclose(offsets_of(found) * SIZE.max(), np.tile(offset, (COUNT, 1)), atol=1.5)
    assert focal(found) == pytest.approx(FOCAL, rel=3e-3)


def test_an_axis_that_wanders_is_followed(solve_of: SolveOf) -> None:
    found, center = find_center(model(solve_of, WANDER), COUNT, Known())
    assert center is Center.WANDERS
    assert found is not None
    moved = offsets_of(found) * SIZE.max()
    assert np.corrcoef(moved[:, 1], WANDER[:, 1])[0, 1] > 0.99
    assert np.corrcoef(moved[:, 0], WANDER[:, 0])[0, 1] > 0.8, "sideways, turns and steps do almost the same"
    assert focal(found) == pytest.approx(FOCAL, rel=0.06)
    assert np.median(residuals(found)) < 1.5 * NOISE


@pytest.mark.parametrize("focals", [FOCAL, np.linspace(470, 560, COUNT)], ids=["one lens", "a zoom"])
def test_a_whole_plate_keeps_its_axis_in_the_middle(solve_of: SolveOf, focals: float | np.ndarray) -> None:
    found, center = find_center(model(solve_of, np.zeros((COUNT, 2)), focals), COUNT, Known())
    assert center is Center.MIDDLE
    assert found is not None
    assert not offsets_of(found).any()


@pytest.mark.slow
def test_a_corner_of_a_real_plate(recorder: Any, tmp_path: Path) -> None:
    """Solved as whole plates these frames are 5 pixels off, and are said to zoom."""
    truth = json.loads((SMALL_YARD / "truth.json").read_text())
    truth["frames"], left, top = truth["frames"][::2], 150, 75
    plate = tmp_path / "plate"
    plate.mkdir()
    for number, entry in enumerate(truth["frames"], 1):
        picture = cv2.imread(str(SMALL_YARD / entry["name"]))[top:, left:]
        depth = np.load(SMALL_YARD / entry["depth"])[top // 5 :, left // 5 :]  # a sample in the middle of 5 x 5 pixels
        entry["name"] = f"corner.{number:04d}.png"
        entry["depth"] = f"{entry['name']}.npy"
        entry["cx"], entry["cy"] = entry["cx"] - left, entry["cy"] - top
        cv2.imwrite(str(plate / entry["name"]), picture)
        np.save(plate / entry["depth"], depth)
    truth["height"], truth["width"] = picture.shape[:2]
    (plate / "truth.json").write_text(json.dumps(truth))
    folder = run_job(Job((str(plate),), str(tmp_path / "out"), engine="colmap"), recorder)
    errors = evaluate_folder(folder, plate / "truth.json").to_dict()
    assert errors["registered"] == len(truth["frames"])
    assert errors["reprojection"]["median"] < 0.3
    assert errors["focal"]["median"] < 0.01
    assert any("axis is not in the middle" in warning for warning in recorder.warnings)
    solved = load_reconstruction(folder)
    assert solved.engine["settings"]["center"] == "elsewhere"
    assert not solved.engine["settings"]["zooms"]
