"""A zoom that nobody announced, by truth: exact cameras and points seen with a known noise, and a plate zoomed into."""

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
from vggt_blender.engines.colmap.adjustment import FIRST_LOSS
from vggt_blender.engines.colmap.zoom import smooth_focals, smoothed, told_apart, with_lenses
from vggt_blender.evaluation import evaluate_folder
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.reconstruction import load_reconstruction

SolveOf: TypeAlias = Callable[..., pycolmap.Reconstruction]

NOISE = 0.15
COUNT = 10
SMALL_YARD = Path(__file__).parents[1] / "data" / "truth" / "small_yard"


def model(solve_of: SolveOf, poses: list[np.ndarray], focals: np.ndarray, guess: float) -> pycolmap.Reconstruction:
    """Frames of 640 x 360 that see a deep cloud through `focals`, solved as if one lens had taken them."""
    rng = np.random.default_rng(0)
    xyz = np.column_stack([rng.uniform(-2.5, 2.5, 400), rng.uniform(-1.2, 1.2, 400), rng.uniform(3, 9, 400)])
    frames = []
    for pose, focal in zip(poses, focals, strict=True):
        seen = xyz @ pose[:, :3].T + pose[:, 3]
        pixels = focal * seen[:, :2] / seen[:, 2:] + [320, 180] + rng.normal(0, NOISE, (len(xyz), 2))
        frames.append((1, pose, pixels))
    return solve_of(xyz, [pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", guess, 640, 360)], frames)


def around() -> list[np.ndarray]:
    """Cameras on an arc around the point (0, 0, 6), which they look at."""
    poses = []
    for angle in np.linspace(-0.5, 0.5, COUNT):
        turn = cv2.Rodrigues(np.array([0.1 * np.sin(5 * angle), angle, 0.0]))[0]
        poses.append(np.column_stack([turn, np.array([0, 0, 6.0]) - turn @ [0, 0, 6.0]]))
    return poses


def forwards() -> list[np.ndarray]:
    return [np.column_stack([np.eye(3), [0.02 * step, 0, -0.15 * step]]) for step in range(COUNT)]


def focals(solved: pycolmap.Reconstruction) -> np.ndarray:
    images = [solved.images[identifier] for identifier in sorted(solved.reg_image_ids())]
    return np.array([solved.cameras[image.camera_id].params[0] for image in images])


@pytest.mark.parametrize(
    "curve",
    [np.linspace(450, 560, COUNT), np.interp(range(COUNT), [0, 4, 7, 9], [500, 500, 515, 515])],
    ids=["throughout", "three percent in the middle"],
)
def test_a_zoom_is_found_and_measured(solve_of: SolveOf, curve: np.ndarray) -> None:
    plain = model(solve_of, around(), curve, 500)
    found, zooms = told_apart(plain, COUNT, lambda: [with_lenses(plain, shared=False)], Known())
    assert zooms
    assert found is not None
    np.testing.assert_allclose(focals(found), curve, rtol=5e-3)


@pytest.mark.parametrize("poses", [around(), forwards()], ids=["around", "forwards"])
def test_one_lens_stays_one_lens(solve_of: SolveOf, poses: list[np.ndarray]) -> None:
    def never() -> list[pycolmap.Reconstruction]:
        raise AssertionError("nothing asks for a second solve")

    found, zooms = told_apart(model(solve_of, poses, np.full(COUNT, 520.0), 500), COUNT, never, Known())
    assert not zooms
    assert found is not None
    assert len(found.cameras) == 1
    assert focals(found) == pytest.approx(520, rel=0.03)


def test_a_failed_solve_with_one_lens_is_made_good_by_the_other(solve_of: SolveOf) -> None:
    """Frames that only the second solve holds count, and one lens is enough for them."""
    second = with_lenses(model(solve_of, around(), np.full(COUNT, 520.0), 500), shared=False)
    found, zooms = told_apart(None, COUNT, lambda: [second], Known())
    assert not zooms
    assert found is not None
    assert found.num_reg_images() == COUNT
    assert len(found.cameras) == 1


def test_a_zoom_that_fell_apart_is_not_believed(solve_of: SolveOf) -> None:
    """Two halves of a shot at different scales explain their own frames well."""
    halves = with_lenses(model(solve_of, around(), np.full(COUNT, 520.0), 500), shared=False)
    for number in range(6, COUNT + 1):
        for index in halves.images[number].get_observation_point2D_idxs():
            halves.delete_observation(number, index)
        halves.cameras[number].params = [1500, 320, 180, 0]
    found, zooms = told_apart(None, COUNT, lambda: [halves], Known())
    assert found is None
    assert not zooms


def test_focal_lengths_follow_a_smooth_curve(solve_of: SolveOf) -> None:
    curve = np.linspace(450, 560, COUNT)
    freed = with_lenses(model(solve_of, around(), curve, 500), shared=False)
    found, zooms = told_apart(model(solve_of, around(), curve, 500), COUNT, lambda: [freed], Known())
    assert zooms
    assert found is not None
    smooth = smooth_focals(found, FIRST_LOSS, Known())
    bend = [np.abs(np.diff(np.log(focals(each) / curve), 2)).mean() for each in (found, smooth)]
    assert bend[1] < bend[0] / 3
    assert np.abs(focals(smooth) / curve - 1).mean() <= 1.1 * np.abs(focals(found) / curve - 1).mean()


def test_smoothing_keeps_straight_lines() -> None:
    line = np.linspace(6.0, 6.5, 9)
    np.testing.assert_allclose(smoothed(line, 1e6), line, atol=1e-9)


def zoomed_plate(folder: Path, growth: np.ndarray) -> None:
    """Every second frame of the small truth shot through a lens `growth` times as long: cut out and enlarged."""
    truth = json.loads((SMALL_YARD / "truth.json").read_text())
    truth["frames"] = truth["frames"][::2]
    half = np.array([truth["width"], truth["height"]]) / 2
    for number, (entry, scale) in enumerate(zip(truth["frames"], growth, strict=True), 1):
        picture = cv2.imread(str(SMALL_YARD / entry["name"]))
        shift = half - scale * half + 0.5 * scale - 0.5  # OpenCV's centre of the first pixel is (0, 0)
        move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        entry["name"] = f"zoomed.{number:04d}.png"
        cv2.imwrite(
            str(folder / entry["name"]), cv2.warpAffine(picture, move, half.astype(int) * 2, flags=cv2.INTER_CUBIC)
        )
        entry["fx"], entry["fy"] = scale * entry["fx"], scale * entry["fy"]
        depth = np.load(SMALL_YARD / entry["depth"])
        move[:, 2] = (1 - scale) * np.array(depth.shape[::-1]) / 2 + 0.5 * scale - 0.5
        entry["depth"] = f"depth.{number}.npy"
        np.save(
            folder / entry["depth"],
            cv2.warpAffine(depth.astype(np.float32), move, depth.shape[::-1], flags=cv2.INTER_NEAREST),
        )
    (folder / "truth.json").write_text(json.dumps(truth))


@pytest.mark.slow
@pytest.mark.usefixtures("cameras_alone")
def test_an_unannounced_zoom_of_a_real_plate(recorder: Any, tmp_path: Path) -> None:
    plate = tmp_path / "plate"
    plate.mkdir()
    zoomed_plate(plate, np.interp(range(7), [0, 2, 6], [1.0, 1.0, 1.3]))
    folder = run_job(Job((str(plate),), str(tmp_path / "out"), engine="colmap"), recorder)
    report = evaluate_folder(folder, plate / "truth.json").to_dict()
    assert load_reconstruction(folder).engine["settings"]["zooms"]
    assert any("zooms" in line for line in recorder.said)
    assert report["registered"] == 7
    assert report["reprojection"]["median"] < 0.3
    assert report["focal"]["median"] < 0.005
