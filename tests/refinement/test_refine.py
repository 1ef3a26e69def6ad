"""Refinement of a folder, judged by the truth: better where the pictures allow, untouched where they do not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vggt_blender.evaluation import evaluate
from vggt_blender.exchange.job import FrameRange
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import Frame, Pose, load_reconstruction
from vggt_blender.geometry.cameras import Lens, camera_center, project
from vggt_blender.geometry.rotations import rotation_matrix
from vggt_blender.refinement import refine
from vggt_blender.refinement.acceptance import agreement, is_better
from vggt_blender.refinement.correspondences import Correspondences
from vggt_blender.refinement.report import Refusal
from vggt_blender.refinement.resolve import resolve
from vggt_blender.refinement.solve import refine_views
from vggt_blender.refinement.tracks import Observations
from vggt_blender.refinement.views import sharing_lenses, views_of


def test_a_networks_errors_come_down_to_sub_pixel(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    poses = painted.disturb(truth, degrees=2.0, shift=0.12, focal=1.05)
    painted.solve(tmp_path / "r", shot, truth, poses)
    before = evaluate(load_reconstruction(tmp_path / "r"), truth)
    recorder = painted.Recorder()
    report = refine(tmp_path / "r", painted.open(shot), recorder)
    result = load_reconstruction(tmp_path / "r")
    after = evaluate(result, truth)
    assert before.reprojection.median > 5
    assert report.accepted, report.reason
    assert report.model == "bundle"
    assert after.reprojection.median < 0.3
    assert after.focal.median < 0.005
    assert after.path.ate_percent < 0.3
    assert after.residual < 0.6
    assert report.before_px > 5 > 0.5 > report.after_px
    # told in the document and to the user
    document = json.loads((tmp_path / "r" / "reconstruction.json").read_text())
    assert document["refinement"]["accepted"] is True
    assert document["refinement"]["after_px"] == pytest.approx(report.after_px)
    assert document["note"] == "kept"
    assert any("px" in line for line in recorder.said)
    assert not any("zooms" in line for line in recorder.said)


def test_the_world_stays_and_depth_and_points_follow_the_cameras(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    poses = painted.disturb(truth, degrees=1.0, shift=0.05, focal=0.97, seed=3)
    painted.solve(tmp_path / "r", shot, truth, poses)
    assert refine(tmp_path / "r", painted.open(shot), painted.Recorder()).accepted
    result = load_reconstruction(tmp_path / "r")
    solved = np.stack([frame.pose.camera_from_world for frame in result.frames])
    known = np.stack([frame.camera_from_world for frame in truth.frames])
    offset = np.linalg.norm(camera_center(solved) - camera_center(known), axis=1)
    assert offset.max() < 0.12  # in the input's world, without any alignment
    # depth maps: every frame at the scale of the cameras, where it was 4 % off
    for k, frame in enumerate(result.frames):
        ratio = np.nanmedian(result.depth[k] / truth.frames[k].depth)
        assert ratio == pytest.approx(1.0, abs=0.02), frame.name
    assert (result.confidence[3] == 4).all()
    assert (result.color[5] == 5).all()
    assert result.frames[2].extra["mark"] == 2
    assert result.tracks.xy.shape == (8, 3, 2)
    # the figures of quality are those of the new cameras
    assert 0 < result.engine["residual_px"] < 0.5
    assert all(frame.extra["residual_px"] < 0.5 and frame.extra["observations"] > 50 for frame in result.frames)
    # points lie on what the pictures show: on the surface that the depth map has at their place
    pose = result.frames[4].pose
    pixels, depth = project(result.points.xyz, pose.camera_from_world, Lens(pose.fx, pose.fy, pose.cx, pose.cy))
    inside = (depth > 0) & (pixels > 1).all(axis=1) & (pixels < [399, 299]).all(axis=1)
    column, row = pixels[inside].astype(int).T
    assert inside.sum() > 100
    gap = np.abs(depth[inside] / result.depth[4][row, column] - 1)
    assert np.median(gap) < 0.02
    picture = np.asarray(Image.open(shot / "shot.1005.png"))[row, column].astype(int)
    color = np.abs(picture - result.points.rgb[inside])
    assert np.median(color) < 25


def test_good_cameras_are_left_alone_bit_for_bit(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    before = painted.fingerprint(tmp_path / "r")
    recorder = painted.Recorder()
    report = refine(tmp_path / "r", painted.open(shot), recorder)
    assert not report.accepted
    assert "agree" in report.reason
    assert painted.fingerprint(tmp_path / "r") == before
    assert any("left the result as it was" in line for line in recorder.said)


def test_a_pan_is_recognised_and_solved_as_turns_with_the_focal_length(shots, painted, tmp_path) -> None:
    shot, truth = shots["pan"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 1.5, 0.03, 0.96))
    report = refine(tmp_path / "r", painted.open(shot), painted.Recorder())
    result = load_reconstruction(tmp_path / "r")
    after = evaluate(result, truth)
    assert report.accepted, report.reason
    assert report.model == "rotation"
    assert after.rotation.median < 0.05
    assert after.focal.median < 0.003
    assert after.reprojection.median < 0.3
    centers = camera_center(np.stack([frame.pose.camera_from_world for frame in result.frames]))
    assert np.ptp(centers, axis=0) == pytest.approx(0, abs=1e-9)


def test_one_plane_is_refused_and_nothing_changes(shots, painted, tmp_path) -> None:
    shot, truth = shots["wall"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 1.0, 0.1, 1.05))
    before = painted.fingerprint(tmp_path / "r")
    report = refine(tmp_path / "r", painted.open(shot), painted.Recorder())
    assert not report.accepted
    assert "one plane" in report.reason
    assert painted.fingerprint(tmp_path / "r") == before


def test_too_few_tracks_are_refused_and_nothing_changes(shots, painted, tmp_path) -> None:
    _, truth = shots["arc"]
    blank = tmp_path / "blank"
    blank.mkdir()
    for known in truth.frames:
        Image.fromarray(np.full((known.height, known.width, 3), 90, np.uint8)).save(blank / known.name)
    painted.solve(tmp_path / "r", blank, truth, painted.disturb(truth, 1.0, 0.1, 1.0))
    before = painted.fingerprint(tmp_path / "r")
    report = refine(tmp_path / "r", painted.open(blank), painted.Recorder())
    assert not report.accepted
    assert "too few tracks" in report.reason
    assert painted.fingerprint(tmp_path / "r") == before


def test_a_fixed_lens_stays_and_lost_frames_find_their_place(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    poses = painted.disturb(truth, 1.0, 0.05, 1.0, seed=5)
    poses[6] = None
    poses[2] = painted.disturb(truth, 40.0, 2.0, 1.0, seed=6)[2]
    painted.solve(tmp_path / "r", shot, truth, poses)
    known = Known(focal_px=painted.lens.fx, distortion=(0.0, 0.0))
    report = refine(tmp_path / "r", painted.open(shot), painted.Recorder(), known=known)
    result = load_reconstruction(tmp_path / "r")
    assert report.accepted
    assert report.lens == "fixed"
    assert report.registered == ("shot.1007.png",)
    assert {frame.pose.fx for frame in result.frames} == {painted.lens.fx}
    after = evaluate(result, truth)
    assert max(frame.reprojection for frame in after.frames) < 0.4
    centers = camera_center(np.stack([frame.pose.camera_from_world for frame in result.frames]))
    known = camera_center(np.stack([frame.camera_from_world for frame in truth.frames]))
    assert np.linalg.norm(centers - known, axis=1).max() < 0.15  # the lost frame did not drag the world along


def test_frames_that_stand_in_the_wrong_place_are_placed_anew(shots, painted, tmp_path) -> None:
    """Turned and moved far, the first and the last: adjusted from there they settle where few of their tracks fit."""
    shot, truth = shots["arc"]
    poses = painted.disturb(truth, degrees=2.0, shift=0.1, focal=1.05)
    for k in (0, -1):
        moved = poses[k].camera_from_world.copy()
        moved[:, :3] = rotation_matrix(np.radians(-20) * np.array([0.3, 0.9, 0.2])) @ moved[:, :3]
        moved[:, 3] += -2, 0, 1
        poses[k] = replace(poses[k], camera_from_world=moved)
    painted.solve(tmp_path / "r", shot, truth, poses)
    assert refine(tmp_path / "r", painted.open(shot), painted.Recorder()).accepted
    after = evaluate(load_reconstruction(tmp_path / "r"), truth)
    assert max(frame.rotation for frame in after.frames) < 0.05
    assert max(frame.reprojection for frame in after.frames) < 0.4


def test_other_pictures_than_the_reconstructions_are_named(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 1.0, 0.1, 1.0))
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for path in sorted(shot.glob("*.png"))[:5]:
        (fewer / path.name).write_bytes(path.read_bytes())
    with pytest.raises(JobError, match="8 frames, the source 5"):
        refine(tmp_path / "r", painted.open(fewer), painted.Recorder())


def test_a_camera_said_to_be_locked_off_that_moves_is_refused_and_nothing_changes(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 1.0, 0.05, 1.0))
    before = painted.fingerprint(tmp_path / "r")
    report = refine(tmp_path / "r", painted.open(shot), painted.Recorder(), known=Known(locked_off=True))
    assert not report.accepted
    assert "locked off" in report.reason
    assert painted.fingerprint(tmp_path / "r") == before


@pytest.mark.parametrize(
    "call", [refine, lambda *args: resolve(*args[:2], FrameRange(1003, 1005), args[2])], ids=["refine", "resolve"]
)
def test_cameras_that_allow_for_a_rolling_shutter_are_left_alone(shots, painted, tmp_path, call) -> None:
    """With one pose a frame, worse cameras agree better with what is seen."""
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 1.0, 0.05, 1.0))
    written = tmp_path / "r" / "reconstruction.json"
    document = json.loads(written.read_text())
    document["engine"]["settings"] = {"rolling_shutter": {"readout": 0.6, "axis": 1}}
    written.write_text(json.dumps(document))
    before = painted.fingerprint(tmp_path / "r")
    report = call(tmp_path / "r", painted.open(shot), painted.Recorder())
    assert not report.accepted
    assert "rolling shutter" in report.reason
    assert painted.fingerprint(tmp_path / "r") == before


def test_without_parallax_and_without_a_turn_there_is_nothing_to_refine(shots, painted) -> None:
    """Details that only tremble: more than a turn explains, less than a move shows."""
    rng = np.random.default_rng(0)
    details, frames = 400, 8
    track, frame = (each.ravel() for each in np.mgrid[:details, :frames])
    places = rng.uniform([20, 20], [380, 280], (details, 2))
    table = Observations(track, frame, places[track] + rng.normal(0, 4, (len(track), 2)))
    _, truth = shots["pan"]
    pose = Pose(truth.frames[0].camera_from_world, *(painted.lens.fx,) * 2, painted.lens.cx, painted.lens.cy)
    frames = [Frame(f"{k}", "", k, None, 400, 300, pose) for k in range(8)]
    views = sharing_lenses(views_of(frames))
    with pytest.raises(Refusal, match="no parallax"):
        refine_views(Correspondences(table, ()), views, views, painted.Recorder(), Known())


def test_a_mask_keeps_what_moves_out_of_the_solve(shots, painted, unmasked_error, tmp_path) -> None:
    shot, truth = shots["mover"]
    masked = painted.moving_error(tmp_path / "r", shot, truth, str(shot / "masks"))
    assert masked < 0.3
    assert unmasked_error > 2 * masked


def test_a_slow_zoom_is_refined_with_a_focal_length_for_each_frame(shots, painted, tmp_path) -> None:
    shot, truth = shots["zoom"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 1.0, 0.05, 1.0))
    report = refine(tmp_path / "r", painted.open(shot), painted.Recorder())
    after = evaluate(load_reconstruction(tmp_path / "r"), truth)
    assert report.accepted, report.reason
    assert after.reprojection.median < 0.3
    assert max(abs(frame.focal) for frame in after.frames) < 0.01


def test_a_zoom_that_the_engine_took_for_one_lens_is_found(shots, painted, tmp_path) -> None:
    shot, truth = shots["long zoom"]
    middle = truth.frames[len(truth.frames) // 2].lens
    poses = [replace(pose, fx=middle.fx, fy=middle.fy) for pose in painted.disturb(truth, 1.0, 0.05, 1.0)]
    painted.solve(tmp_path / "r", shot, truth, poses)
    recorder = painted.Recorder()
    report = refine(tmp_path / "r", painted.open(shot), recorder)
    after = evaluate(load_reconstruction(tmp_path / "r"), truth)
    assert report.accepted, report.reason
    assert max(abs(frame.focal) for frame in after.frames) < 0.01
    assert after.reprojection.median < 0.3
    assert any("The lens zooms" in line for line in recorder.said)


def test_a_slow_zoom_that_is_right_is_left_alone(shots, painted, tmp_path) -> None:
    shot, truth = shots["zoom"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    report = refine(tmp_path / "r", painted.open(shot), painted.Recorder())
    assert not report.accepted
    assert report.before_px < 0.5, "measured with the lenses that the frames have"


def tracked(truth, noise: dict[int, float]) -> Observations:
    """Where the truth's cameras see points scattered before them; in some frames `noise` pixels off."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-2.5, -2, 4], [2.5, 2, 9], (500, 3))
    track, frame, xy = [], [], []
    for k, known in enumerate(truth.frames):
        pixels, _ = project(points, known.camera_from_world, known.lens)
        inside = (pixels > 0).all(axis=1) & (pixels < [400, 300]).all(axis=1)
        track.append(np.flatnonzero(inside))
        frame.append(np.full(inside.sum(), k))
        xy.append(pixels[inside] + rng.normal(0, noise.get(k, 0.1), (int(inside.sum()), 2)))
    order = np.argsort(np.concatenate(track), kind="stable")
    rows = [np.concatenate(each)[order] for each in (track, frame, xy)]
    return Observations(*rows).keep(np.ones(len(order), bool))


def test_a_frame_that_fits_only_badly_gets_no_place(shots, painted) -> None:
    """Points place it, but none of what it sees is as exact as an adjustment asks."""
    _, truth = shots["arc"]
    poses = [Pose(f.camera_from_world, f.lens.fx, f.lens.fy, f.lens.cx, f.lens.cy) for f in truth.frames]
    frames = [Frame(f"{k}", "", k, None, 400, 300, None if k in (2, 5) else pose) for k, pose in enumerate(poses)]
    given = views_of(frames)
    table = tracked(truth, noise={5: 3.0})
    found = Correspondences(table.keep((table.frame != 5) | (table.track % 5 == 0)), ())
    refined = refine_views(found, given, sharing_lenses(given), painted.Recorder(), Known())
    assert np.flatnonzero(~refined.held).tolist() == [5]
    assert np.flatnonzero(~refined.views.placed).tolist() == [5]


def test_a_larger_picture_is_judged_by_the_pixels_that_its_features_were_found_in(shots, painted) -> None:
    _, truth = shots["arc"]
    table, verdicts = tracked(truth, {}), []
    for wrong in (0.0, 0.1):
        poses = painted.disturb(truth, wrong, 0.0, 1.0)
        views = views_of([Frame(f"{k}", "", k, None, 400, 300, pose) for k, pose in enumerate(poses)])
        enlarged = replace(views, scales=np.full(8, 0.2))  # 8K, worked on at a fifth of it
        verdicts.append([agreement(table, each) for each in (views, enlarged)])
    for small, large in verdicts:
        assert large.median == pytest.approx(5 * small.median), "told in pixels of the source"
        assert large.score == pytest.approx(small.score)
    (small, large), (off, far_off) = verdicts
    assert is_better(large, far_off)
    assert is_better(small, off)
    slightly = replace(off, score=off.score - 0.015, median=off.median - 0.015)
    assert not is_better(slightly, off)
    slightly = replace(far_off, score=far_off.score - 0.015, median=far_off.median - 0.075)
    assert not is_better(slightly, far_off)
