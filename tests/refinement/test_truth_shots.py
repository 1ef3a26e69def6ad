"""What has to be reached, on two small shots with known truth (``benchmarks.truth --shots small_yard,small_lens``).

``small_yard`` is a pinhole outdoors, ``small_lens`` a wide angle with distortion in a room; 480 x 270.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.refinement import DISTURBANCES, write_disturbed
from vggt_blender.engines import run_job
from vggt_blender.evaluation import Report, evaluate, evaluate_folder, load_truth
from vggt_blender.exchange.job import FrameRange, Job
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.reconstruction import load_reconstruction
from vggt_blender.inference.frames import open_source
from vggt_blender.refinement import RefinementReport, refine

SHOTS = Path(__file__).parents[1] / "data" / "truth"
NETWORK, _, UNDISTURBED = DISTURBANCES

pytestmark = pytest.mark.slow


def lens_of(shot: str) -> Known:
    """Everything about the shot's lens."""
    lens = load_truth(SHOTS / shot / "truth.json").frames[0].lens
    return Known(focal_px=lens.fx, distortion=tuple(lens.distortion or (0.0, 0.0)))


def refined(
    shot: str, start: Any, known: Known, painted: Any, tmp_path: Path
) -> tuple[Report, Report, RefinementReport]:
    """The truth's verdict before and after refining the shot's disturbed cameras."""
    truth = load_truth(SHOTS / shot / "truth.json")
    source = open_source([str(SHOTS / shot)], kind="sequence")
    folder = tmp_path / "solve"
    write_disturbed(folder, truth, source, start, 0)
    before = evaluate(load_reconstruction(folder), truth)
    outcome = refine(folder, source, painted.Recorder(), known=known)
    return before, evaluate(load_reconstruction(folder), truth), outcome


@pytest.mark.parametrize("shot", ["small_yard", "small_lens"])
def test_a_networks_errors_end_below_a_third_of_a_pixel(shot: str, painted: Any, tmp_path: Path) -> None:
    before, after, outcome = refined(shot, NETWORK, Known(), painted, tmp_path)
    assert before.reprojection.median > 10
    assert outcome.accepted
    assert after.reprojection.median < 0.3
    assert after.path.ate_percent < 0.03
    assert after.focal.median < 0.004
    assert after.depth.abs_rel < 0.002
    assert outcome.focal_deviation < 0.002


@pytest.mark.parametrize(("shot", "worst"), [("small_yard", 0.06), ("small_lens", 0.04)])
def test_a_known_lens_brings_the_error_down(shot: str, worst: float, painted: Any, tmp_path: Path) -> None:
    """0.10 and 0.12 pixels without: the test above."""
    _, after, outcome = refined(shot, NETWORK, lens_of(shot), painted, tmp_path)
    assert outcome.lens == "fixed"
    assert after.focal.median < 1e-9
    assert after.reprojection.median < worst


def test_true_cameras_of_a_pinhole_stay(painted: Any, tmp_path: Path) -> None:
    _, after, outcome = refined("small_yard", UNDISTURBED, Known(), painted, tmp_path)
    assert not outcome.accepted
    assert after.reprojection.median < 1e-6


def test_a_known_distortion_goes_into_cameras_that_lack_it(painted: Any, tmp_path: Path) -> None:
    before, after, outcome = refined("small_lens", UNDISTURBED, lens_of("small_lens"), painted, tmp_path)
    assert before.reprojection.median > 1
    assert outcome.accepted
    assert after.reprojection.median < 0.04


def test_the_engine_reaches_sub_pixel_from_pictures_alone(solved_yard: Path) -> None:
    report = evaluate_folder(solved_yard, SHOTS / "small_yard" / "truth.json")
    assert report.registered == 7
    assert report.reprojection.median <= 0.2
    assert report.path.ate_percent <= 0.03
    assert report.focal.median <= 0.001
    assert report.depth.abs_rel_flat <= 0.015
    assert report.depth.coverage > 0.8, "wider steps than the shot's own cost coverage"


@pytest.mark.usefixtures("cameras_alone")
def test_the_engine_holds_a_known_lens_and_gains_by_it(painted: Any, tmp_path: Path) -> None:
    shot, frames = SHOTS / "small_lens", FrameRange(1001, None, 2)
    reports = []
    for name, known in (("free", Known()), ("held", lens_of("small_lens"))):
        job = Job((str(shot),), str(tmp_path / name), engine="colmap", frames=frames, known=known)
        reports.append(evaluate_folder(run_job(job, painted.Recorder()), shot / "truth.json"))
    free, held = reports
    assert free.reprojection.median <= 0.2
    assert held.registered == free.registered == 6
    assert held.focal.median < 1e-9
    assert held.reprojection.median < 0.5 * free.reprojection.median
