"""A smoother path, by truth: noise goes, what the pictures show stays, and no frame slips beyond the budget."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vggt_blender.evaluation import Truth, evaluate
from vggt_blender.exchange.reconstruction import load_reconstruction
from vggt_blender.geometry.cameras import Lens, camera_center, project
from vggt_blender.geometry.rotations import rotation_matrix
from vggt_blender.refinement import refine
from vggt_blender.refinement.correspondences import Found
from vggt_blender.refinement.jitter import Jitter, jitter
from vggt_blender.refinement.report import Refusal
from vggt_blender.refinement.smoothing import smooth, smooth_views
from vggt_blender.refinement.tracks import Observations
from vggt_blender.refinement.views import Views

SIZE, BUDGET, FRAMES = np.array([960.0, 540.0]), 0.1, 24
LENS = Lens(800.0, 800.0, 480.0, 270.0)
POINTS = np.random.default_rng(0).uniform([-8, -3, 4], [10, 3, 16], (400, 3))


def poses_of(centers: np.ndarray, turns: np.ndarray) -> np.ndarray:
    rotations = rotation_matrix(turns)
    return np.dstack([rotations, -np.einsum("nij,nj->ni", rotations, centers)])


def path(shake: float = 0.0, *, turns_only: bool = False, frames: int = FRAMES) -> np.ndarray:
    """A steady move, or a pan; a hand that shakes by `shake` pixels from frame to frame."""
    rng, t = np.random.default_rng(1), np.arange(frames)
    turns = np.radians(np.column_stack([0.5 * np.sin(t / 9), 0.4 * t, 0 * t]))
    centers = np.column_stack([0.05 * t, 0.02 * np.sin(t / 7), 0.03 * t])
    turns = turns + rng.normal(0, shake / LENS.fx, turns.shape)
    return poses_of(0 * centers if turns_only else centers + rng.normal(0, shake / 150, centers.shape), turns)


def noisy(poses: np.ndarray, pixels: float, *, turns_only: bool = False) -> np.ndarray:
    rng = np.random.default_rng(2)
    rotations = rotation_matrix(rng.normal(0, pixels / LENS.fx, (len(poses), 3))) @ poses[:, :, :3]
    centers = camera_center(poses) + (0 if turns_only else rng.normal(0, pixels / 150, (len(poses), 3)))
    return np.dstack([rotations, -np.einsum("nij,nj->ni", rotations, centers)])


def observed(poses: np.ndarray, noise: float = 0.15) -> Observations:
    """Where the true cameras see the points, but for the detector's noise."""
    rng = np.random.default_rng(3)
    pixels, depth = zip(*(project(POINTS, pose, LENS) for pose in poses), strict=True)
    seen = (np.array(depth) > 0) & (np.nan_to_num(pixels, nan=-1) > 0).all(axis=2) & (pixels < SIZE).all(axis=2)
    track, frame = np.nonzero(seen.T)
    xy = np.array(pixels)[frame, track]
    return Observations(track, frame, xy + rng.normal(0, noise, xy.shape)).keep(np.ones(len(track), bool), least=3)


def views(poses: np.ndarray) -> Views:
    count = len(poses)
    sizes = np.tile(SIZE, (count, 1))
    return Views(poses, (LENS,) * count, np.zeros(count, int), sizes, np.ones(count), np.ones(count, bool))


def shaking(poses: np.ndarray, missing: tuple[int, ...] = ()) -> Jitter:
    placed = ~np.isin(np.arange(len(poses)), missing)
    found = jitter(poses, placed, np.arange(len(poses)))
    assert found is not None
    return found


def smoothed(truth: np.ndarray, start: np.ndarray, budget: float = BUDGET) -> np.ndarray:
    count = len(truth)
    return smooth_views(observed(truth), views(start), np.arange(count), np.full(count, budget)).poses


def true_error(truth: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Root mean square pixels a frame by which the points are seen elsewhere."""
    errors = []
    for known, pose in zip(truth, poses, strict=True):
        wanted, depth = project(POINTS, known, LENS)
        seen = (depth > 0) & (np.nan_to_num(wanted, nan=-1) > 0).all(axis=1) & (wanted < SIZE).all(axis=1)
        away = project(POINTS[seen], pose, LENS)[0] - wanted[seen]
        errors.append(np.sqrt((away**2).sum(axis=1).mean()))
    return np.array(errors)


@pytest.mark.parametrize("turns_only", [False, True])
@pytest.mark.parametrize("noise", [0.03, 0.4])
def test_noise_goes_and_the_truth_stays_within_the_budget(noise: float, turns_only: bool) -> None:
    truth = path(turns_only=turns_only)
    start = noisy(truth, noise, turns_only=turns_only)
    result = smoothed(truth, start)
    assert shaking(result).rotation < 0.05 * shaking(start).rotation
    if turns_only:
        assert np.ptp(camera_center(result), axis=0) == pytest.approx(0, abs=1e-9)
    else:
        assert shaking(result).position < 0.1 * shaking(start).position
    before, after = true_error(truth, start), true_error(truth, result)
    assert np.sqrt((after**2).mean()) < np.sqrt((before**2).mean()) + BUDGET
    if noise > BUDGET:
        assert np.median(after) < 0.5 * np.median(before)


def test_a_hand_that_shakes_is_followed_as_the_pixels_ask() -> None:
    truth = path(shake=2.0)
    result = smoothed(truth, truth)
    # from where the tracks want it, which is itself some hundredths of a pixel from the truth
    assert true_error(truth, result).max() < 1.5 * BUDGET
    assert shaking(result).rotation > 0.75 * shaking(truth).rotation
    closer = smoothed(truth, truth, budget=BUDGET / 4)
    assert true_error(truth, closer).max() < 0.7 * true_error(truth, result).max()


def test_a_shake_below_the_budget_goes() -> None:
    truth = path(shake=0.03)
    assert shaking(smoothed(truth, truth)).rotation < 0.1 * shaking(truth).rotation


def test_frames_that_are_missing_or_see_nothing_stay() -> None:
    truth = path()
    start = noisy(truth, 0.3)
    given = views(start)
    given.placed[7] = False
    table = observed(truth)
    table = table.keep(table.frame != 15)
    result = smooth_views(table, given, np.arange(FRAMES), np.full(FRAMES, BUDGET)).poses
    np.testing.assert_array_equal(result[7], start[7])
    np.testing.assert_allclose(result[15], start[15], atol=1e-4)
    assert shaking(result[16:]).rotation < 0.3 * shaking(start[16:]).rotation


def test_a_frame_without_a_place_is_no_jitter() -> None:
    poses = path()
    steady = shaking(poses)
    poses[9] = poses[8]  # a placeholder
    missing = shaking(poses, missing=(9,))
    assert missing.rotation < 1.2 * steady.rotation
    assert missing.position < 1.2 * steady.position
    assert shaking(poses).rotation > 100 * steady.rotation
    times = np.delete(np.arange(FRAMES), range(6, 9))  # frames that are not there at all
    assert jitter(path()[times], np.ones(len(times), bool), times).rotation < 1.2 * steady.rotation
    assert jitter(path(), np.arange(FRAMES) % 4 != 3, np.arange(FRAMES)) is None, "nowhere four in a row"


def test_too_short_a_path_is_refused() -> None:
    truth = path(frames=4)
    with pytest.raises(Refusal, match="fewer than five"):
        smoothed(truth, truth)


@pytest.fixture
def shaken(shots: Any, painted: Any, tmp_path: Path) -> tuple[Path, Truth, Path]:
    """A shot, its truth, and a solve of it that trembles by about a pixel."""
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, degrees=0.1, shift=0.004, focal=1.0))
    return shot, truth, tmp_path / "r"


def test_a_folder_gets_a_smoother_path_and_keeps_all_else(shaken: Any, painted: Any) -> None:
    shot, truth, folder = shaken
    before, files = load_reconstruction(folder), painted.fingerprint(folder)
    old = evaluate(before, truth).reprojection.median
    frames = before.frames
    del before
    recorder = painted.Recorder()
    outcome = smooth(folder, painted.open(shot), recorder, BUDGET)
    after = load_reconstruction(folder)
    assert outcome.smoothed, outcome.reason
    assert evaluate(after, truth).reprojection.median < old + BUDGET
    written = json.loads((folder / "reconstruction.json").read_text())["refinement"]["smoothing"]
    assert written == json.loads(json.dumps(outcome.to_dict()))
    assert written["jitter_after"]["rotation"] < 0.3 * written["jitter_before"]["rotation"]
    assert written["after_px"] <= written["before_px"] + BUDGET
    assert written["slip_px"] <= min(BUDGET, 0.46 * written["before_px"])
    assert after.extra["note"] == "kept"
    kept = painted.fingerprint(folder)
    assert {name for name in files if files[name] != kept[name]} == {"reconstruction.json"}
    for one, two in zip(frames, after.frames, strict=True):
        assert one.extra == two.extra
        assert replace(one.pose, camera_from_world=None) == replace(two.pose, camera_from_world=None)
    assert any("jitter" in line for line in recorder.said)


def test_what_refinement_found_in_the_pictures_is_not_looked_for_again(shaken: Any, painted: Any) -> None:
    shot, _, folder = shaken
    source, recorder, found = painted.open(shot), painted.Recorder(), Found()
    refine(folder, source, recorder, found=found)
    assert "matching" in recorder.stages
    recorder.stages.clear()
    assert smooth(folder, source, recorder, BUDGET, found=found).smoothed
    assert not recorder.stages


def test_separate_photos_are_left_alone(shaken: Any, painted: Any) -> None:
    shot, _, folder = shaken
    document = json.loads((folder / "reconstruction.json").read_text())
    document["source"]["kind"] = "images"
    (folder / "reconstruction.json").write_text(json.dumps(document))
    files, recorder = painted.fingerprint(folder), painted.Recorder()
    outcome = smooth(folder, painted.open(shot), recorder, BUDGET)
    assert not outcome.smoothed
    assert "photos" in recorder.said[0]
    assert painted.fingerprint(folder) == files


def test_pictures_without_detail_are_left_alone(shaken: Any, painted: Any, tmp_path: Path) -> None:
    _, truth, folder = shaken
    (tmp_path / "blank").mkdir()
    for known in truth.frames:
        Image.fromarray(np.full((known.height, known.width, 3), 90, np.uint8)).save(tmp_path / "blank" / known.name)
    files = painted.fingerprint(folder)
    outcome = smooth(folder, painted.open(tmp_path / "blank"), painted.Recorder(), BUDGET)
    assert not outcome.smoothed
    assert "details" in outcome.reason
    assert painted.fingerprint(folder) == files


def test_a_slow_zoom_is_smoothed_with_the_lenses_that_its_frames_have(shots: Any, painted: Any, tmp_path: Path) -> None:
    shot, truth = shots["zoom"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, degrees=0.05, shift=0.002, focal=1.0))
    old = evaluate(load_reconstruction(tmp_path / "r"), truth).reprojection.median
    outcome = smooth(tmp_path / "r", painted.open(shot), painted.Recorder(), BUDGET)
    assert evaluate(load_reconstruction(tmp_path / "r"), truth).reprojection.median < old + BUDGET
    assert outcome.before_px < 0.5
