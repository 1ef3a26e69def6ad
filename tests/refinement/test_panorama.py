"""A camera that only turns, without any cameras to start from, by truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vggt_blender.engines import run_job
from vggt_blender.evaluation import evaluate
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.messages import Cancelled
from vggt_blender.exchange.reconstruction import load_reconstruction
from vggt_blender.geometry.cameras import Lens, camera_center, project
from vggt_blender.geometry.rotations import rotation_matrix
from vggt_blender.refinement.panorama import Match, Panorama, solve_panorama, with_focal_hold
from vggt_blender.refinement.rotation_only import AT_ONCE, turn_only
from vggt_blender.refinement.tracks import Observations
from vggt_blender.refinement.views import Views


def solve(shot: Path, output: Path, known: Known, reporter: Any) -> Any:
    run_job(Job((str(shot),), str(output), engine="colmap", known=known), reporter)
    return load_reconstruction(output)


def test_a_pan_is_solved_as_turns_without_inventing_distances(shots: Any, painted: Any, tmp_path: Path) -> None:
    shot, truth = shots["pan"]
    recorder = painted.Recorder()
    result = solve(shot, tmp_path / "r", Known(), recorder)
    report = evaluate(result, truth)
    assert report.registered == 8
    assert report.rotation.median < 0.05
    assert report.focal.median < 0.003
    assert report.reprojection.median < 0.3
    poses = np.stack([frame.pose.camera_from_world for frame in result.frames])
    assert np.abs(camera_center(poses)).max() == 0
    np.testing.assert_allclose(poses[0], np.eye(3, 4), atol=1e-9)
    assert np.isnan(result.depth).all()
    assert result.points is None
    assert result.engine["settings"]["mapper"] == "turns"
    assert any("only turns" in line for line in recorder.said)


@pytest.mark.usefixtures("cameras_alone")
def test_a_move_is_not_taken_for_a_turn(shots: Any, painted: Any, tmp_path: Path) -> None:
    shot, truth = shots["arc"]
    result = solve(shot, tmp_path / "r", Known(), painted.Recorder())
    assert result.engine["settings"]["mapper"] != "turns"
    assert evaluate(result, truth).path.ate_percent < 1


@pytest.mark.parametrize("focal", [1.0, 1.08])
def test_a_focal_length_that_is_given_is_held(shots: Any, painted: Any, tmp_path: Path, focal: float) -> None:
    shot, truth = shots["pan"]
    known = Known(focal_px=focal * painted.lens.fx, locked_off=True)
    result = solve(shot, tmp_path / "r", known, painted.Recorder())
    assert [frame.pose.fx for frame in result.frames] == pytest.approx(8 * [focal * painted.lens.fx])
    error = evaluate(result, truth).reprojection.median
    assert error < 0.1 if focal == 1.0 else error > 0.3


def test_locked_off_is_said_to_be_wrong_where_the_camera_moves(shots: Any, painted: Any, tmp_path: Path) -> None:
    recorder = painted.Recorder()
    result = solve(shots["arc"][0], tmp_path / "r", Known(locked_off=True), recorder)
    assert result.engine["settings"]["mapper"] == "turns"
    assert any("not locked off" in line for line in recorder.said)


LENS = Lens(400, 400, 200, 150)


def exact_pan(
    groups: np.ndarray, focal: np.ndarray, k1: float = 0.0, reach: float = 14.0, noise: float = 0.0
) -> Panorama:
    """Solved from tracks of a pan by `reach` degrees to either side with focal lengths `focal` (N,), where the lens is
    thought to be `groups`; exact but for `noise`."""
    rng = np.random.default_rng(4)
    points = rng.normal(size=(600, 3)) * [0.9, 0.4, 0.1] + [0, 0, 1]
    count = len(focal)
    poses = [
        np.column_stack([rotation_matrix(np.radians([0, reach * t, 0])), np.zeros(3)])
        for t in np.linspace(-1, 1, count)
    ]
    seen = np.stack(
        [
            project(points, pose, Lens(f, f, 200, 150, (k1, 0, 0, 0, 0)))[0]
            for pose, f in zip(poses, focal, strict=True)
        ],
        axis=1,
    )
    seen += rng.normal(0, noise, seen.shape)
    with np.errstate(invalid="ignore"):
        inside = ((seen > 0) & (seen < [400, 300])).all(axis=-1)
    kept = inside.sum(axis=1) >= 3
    track, frame = np.nonzero(inside[kept])
    table = Observations(track, frame, seen[kept][track, frame])
    matches = []
    for k in range(count - 1):
        both = inside[kept][:, k] & inside[kept][:, k + 1]
        matches.append(Match(k, k + 1, seen[kept][both, k], seen[kept][both, k + 1]))
    ones = np.ones(count)
    sizes = np.tile([400.0, 300.0], (count, 1))
    views = Views(np.tile(np.eye(3, 4), (count, 1, 1)), (LENS,) * count, groups, sizes, ones, ones > 0)
    return solve_panorama(table, matches, views, free_focal=True, start_known=False, free_distortion=True)


def test_a_lens_that_zooms_is_found_where_it_is_said_to_zoom() -> None:
    focal = np.linspace(360, 460, 9)
    one, each = (exact_pan(groups, focal) for groups in (np.zeros(9, int), np.arange(9)))
    np.testing.assert_allclose(each.views.focal, focal, rtol=1e-3)
    assert np.median(each.error) < 0.01
    assert np.median(one.error) > 0.5


def test_a_pan_through_a_lens_that_distorts() -> None:
    found = exact_pan(np.zeros(9, int), np.full(9, 380.0), k1=-0.12)
    assert found.views.lenses[0].distortion[0] == pytest.approx(-0.12, abs=0.006)
    assert found.views.focal[0] == pytest.approx(380, rel=0.002)
    assert np.median(found.error) < 0.02


def test_a_long_solution_can_be_stopped_at_each_step() -> None:
    solved = exact_pan(np.arange(9), np.linspace(360, 460, 9))
    assert solved.table.tracks > 2 * AT_ONCE, "more than are eliminated together"
    steps = []

    def stop() -> None:
        steps.append(1)
        if len(steps) >= 3:
            raise Cancelled

    wrong = replace(solved.views, lenses=(Lens(400, 400, 200, 150),) * 9)
    with pytest.raises(Cancelled):
        turn_only(solved.table, wrong, free_focal=True, tell=stop)
    assert len(steps) == 3
    with pytest.raises(Cancelled):
        replace(solved, tell=stop).held_at(wrong.lenses)


def test_a_camera_that_does_not_turn_tells_nothing_of_its_lens() -> None:
    """Not even that it bends: an error is as large as it is in the picture, not where a lens would squeeze it."""
    found = exact_pan(np.zeros(5, int), np.full(5, 380.0), reach=0.0, noise=0.06)
    assert found.views.lenses[0].distortion is None
    told = with_focal_hold(found, (LENS,) * 5)
    assert told.lens_is_weak
    assert set(told.views.focal) == {400.0}
    assert np.median(told.error) < 0.1


def test_a_wide_pan_tells_its_focal_length() -> None:
    told = with_focal_hold(exact_pan(np.zeros(5, int), np.full(5, 380.0), noise=0.06), (LENS,) * 5)
    assert not told.lens_is_weak
    np.testing.assert_allclose(told.views.focal, 380, rtol=2e-3)
