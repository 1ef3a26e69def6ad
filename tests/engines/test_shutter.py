"""A rolling shutter is measured and allowed for, by truth: every line has its own, exact pose."""

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
from vggt_blender.engines.colmap.adjustment import FIRST_LOSS, adjust, robust_cost
from vggt_blender.engines.colmap.shutter import Shutter, find_shutter, places, put, straighten
from vggt_blender.evaluation import evaluate_folder
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.reconstruction import load_reconstruction
from vggt_blender.geometry.alignment import align_points
from vggt_blender.geometry.cameras import camera_center

SolveOf: TypeAlias = Callable[..., pycolmap.Reconstruction]

COUNT, FOCAL, NOISE = 10, 500.0, 0.15
SIZE = np.array([640, 360])
SMALL_YARD = Path(__file__).parents[1] / "data" / "truth" / "small_yard"


def shake(time: float) -> np.ndarray:
    """A turn by up to two degrees, to and fro within a dozen frames."""
    return cv2.Rodrigues(np.radians([2.0 * np.sin(0.6 * time), 2.0 * np.cos(0.4 * time), 0.8 * np.sin(0.5 * time)]))[0]


def hand_held(time: float) -> np.ndarray:
    """A camera (3, 4) that goes sideways and is not held still."""
    return np.column_stack([shake(time), [-0.15 * time, 0.02 * np.sin(time), 0.0]])


def solve(solve_of: SolveOf, shutter: Shutter, focals: np.ndarray | float = FOCAL) -> pycolmap.Reconstruction:
    """Frames of a deep cloud, each point seen when its line is read, solved with one pose a frame."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform([-1.5, -0.9, 3.5], [2.2, 0.9, 9], (500, 3))
    frames = []
    for number, focal in enumerate(np.broadcast_to(focals, COUNT)):
        pixels = np.empty((len(xyz), 2))
        for row, place in enumerate(xyz):
            line = SIZE[shutter.axis] / 2
            for _ in range(4):
                pose = hand_held(number + shutter.readout * (line / SIZE[shutter.axis] - 0.5))
                seen = pose[:, :3] @ place + pose[:, 3]
                pixels[row] = focal * seen[:2] / seen[2] + SIZE / 2
                line = pixels[row, shutter.axis]
        frames.append((1, hand_held(number), pixels + rng.normal(0, NOISE, pixels.shape)))
    made = solve_of(xyz, [pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", FOCAL, *SIZE)], frames)
    adjust(made, FIRST_LOSS, Known())
    return made


def path_error(solved: pycolmap.Reconstruction) -> float:
    """How far the cameras are from the true ones, in percent of the path's length."""
    found = camera_center([solved.images[number].cam_from_world().matrix() for number in range(1, COUNT + 1)])
    true = camera_center([hand_held(number) for number in range(COUNT)])
    off = align_points(found, true).apply(found) - true
    return float(100 * np.sqrt((off**2).sum(axis=1).mean()) / np.linalg.norm(true[-1] - true[0]))


@pytest.mark.parametrize(
    "true",
    [Shutter(0.7, 1), Shutter(-0.4, 1), Shutter(0.5, 0)],
    ids=["downwards", "upwards", "from left to right"],
)
def test_the_readout_is_measured_and_the_cameras_come_right(solve_of: SolveOf, true: Shutter) -> None:
    solved = solve(solve_of, true)
    before = path_error(solved)
    found = find_shutter(solved, COUNT, FIRST_LOSS, Known())
    assert found is not None
    assert found.axis == true.axis
    assert found.readout == pytest.approx(true.readout, abs=0.03)
    straighten(solved, found, FIRST_LOSS, Known())
    assert path_error(solved) < min(0.2 * before, 0.15)
    assert next(iter(solved.cameras.values())).params[0] == pytest.approx(FOCAL, rel=0.02)


def test_what_was_seen_can_be_put_back(solve_of: SolveOf) -> None:
    solved = solve(solve_of, Shutter(0.7, 1))
    seen, cost = places(solved), robust_cost(solved, FIRST_LOSS)
    straighten(solved, Shutter(0.7, 1), FIRST_LOSS, Known())
    assert robust_cost(solved, FIRST_LOSS) < 0.5 * cost
    put(solved, seen)
    again = places(solved)
    for number, (rows, xy) in seen.items():
        assert again[number][0] == rows
        np.testing.assert_array_equal(again[number][1], xy)


@pytest.mark.parametrize("focals", [FOCAL, np.linspace(480, 560, COUNT)], ids=["one lens", "a zoom"])
def test_other_shots_have_none(solve_of: SolveOf, focals: np.ndarray | float) -> None:
    assert find_shutter(solve(solve_of, Shutter(0.0, 1), focals), COUNT, FIRST_LOSS, Known()) is None


def test_a_solve_that_holds_few_of_the_frames_is_not_asked(solve_of: SolveOf) -> None:
    assert find_shutter(solve(solve_of, Shutter(0.7, 1)), 2 * COUNT, FIRST_LOSS, Known()) is None


def read_line_by_line(plate: Path, readout: float) -> None:
    """Write to `plate` the frames of a real plate as a hand that shakes would have filmed them, with the true poses of
    their middle lines. Only turns are added: they move pixels the same at every depth, so they are exact."""
    truth = json.loads((SMALL_YARD / "truth.json").read_text())
    width, height = truth["width"], truth["height"]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    plate.mkdir()
    for number, entry in enumerate(truth["frames"]):
        lens = np.array([[entry["fx"], 0, entry["cx"]], [0, entry["fy"], entry["cy"]], [0, 0, 1]])
        times = number + readout * ((np.arange(height) + 0.5) / height - 0.5)
        back = lens @ np.stack([shake(time).T for time in times]) @ np.linalg.inv(lens)
        there = np.einsum("hij,hwj->hwi", back, np.stack([x, y, np.ones_like(x)], axis=-1))
        sources = (there[..., :2] / there[..., 2:] - 0.5).astype(np.float32)
        picture = cv2.imread(str(SMALL_YARD / entry["name"]))
        entry["name"] = f"shaken.{number + 1001}.png"
        cv2.imwrite(str(plate / entry["name"]), cv2.remap(picture, sources, None, cv2.INTER_CUBIC))
        entry["camera_from_world"] = (shake(number) @ np.array(entry["camera_from_world"])).tolist()
        del entry["depth"]
    (plate / "truth.json").write_text(json.dumps(truth))


@pytest.mark.slow
def test_a_real_plate(recorder: Any, tmp_path: Path) -> None:
    """With one pose a frame it is off by pixels."""
    read_line_by_line(tmp_path / "plate", 0.6)
    folder = run_job(Job((str(tmp_path / "plate"),), str(tmp_path / "out"), engine="colmap"), recorder)
    (said,) = (warning for warning in recorder.warnings if "rolling shutter" in warning)
    assert "top to bottom" in said
    shutter = load_reconstruction(folder).engine["settings"]["rolling_shutter"]
    assert shutter["readout"] == pytest.approx(0.6, abs=0.05)
    errors = evaluate_folder(folder, tmp_path / "plate" / "truth.json").to_dict()
    assert errors["path"]["ate_percent"] < 0.2
    assert errors["focal"]["median"] < 0.01
