"""Known disturbances of known cameras give the known numbers."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from vggt_blender.evaluation import Truth, evaluate
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import Points
from vggt_blender.geometry.alignment import Similarity
from vggt_blender.geometry.cameras import camera_center

BARREL = (-0.15, 0.02, 0.001, -0.0005, 0.0)


@pytest.mark.parametrize("kind", ["arc", "line", "pan"])
@pytest.mark.parametrize("distortion", [None, BARREL])
def test_the_truth_itself_has_no_error_in_any_world(world, kind, distortion):
    truth = world.make_truth(kind, distortion)
    report = evaluate(world.solve_exactly(truth, world.elsewhere), truth)
    assert (report.matched, report.registered) == (8, 8)
    assert report.rotation.p95 < 1e-6
    assert report.rotation_step < 1e-6
    assert report.relative.auc == {3: 1.0, 30: 1.0}
    assert report.focal.median == pytest.approx(0, abs=1e-12)
    assert report.reprojection.p95 < 1e-3
    assert report.depth.abs_rel < 1e-6
    assert report.depth.coverage == 1.0
    assert report.depth.scale == pytest.approx(1 / 3.7)
    if kind == "pan":
        assert report.path is None
        assert report.relative.rta is None
        assert report.depth.scale_of_cameras is None
    else:
        assert report.path.ate_percent < 1e-6
        assert report.path.rpe_percent < 1e-6
        assert report.reprojection_of_centers.p95 < 1e-3
        assert report.depth.scale_of_cameras == pytest.approx(1 / 3.7)


def test_ate_is_the_rms_of_what_no_alignment_can_remove(world):
    truth = world.make_truth()
    known = camera_center([frame.camera_from_world for frame in truth.frames])
    around = known - known.mean(axis=0)
    moves = [np.tile(axis, (8, 1)) for axis in np.eye(3)]
    turns = [np.cross(axis, around) for axis in np.eye(3)]
    removable = np.stack([field.ravel() for field in (*moves, *turns, around)], axis=-1)
    noise = np.random.default_rng(1).standard_normal(24)
    noise -= removable @ np.linalg.lstsq(removable, noise, rcond=None)[0]
    offsets = 1e-3 * noise.reshape(8, 3)
    exact = world.solve_exactly(truth)
    solved = world.change_poses(exact, lambda k, pose: world.move_camera(pose, offsets[k]))
    path = evaluate(solved, truth).path
    expected = np.sqrt((offsets**2).sum(axis=-1).mean())
    assert path.ate == pytest.approx(expected, rel=1e-2)
    assert path.length == pytest.approx(np.linalg.norm(np.diff(known, axis=0), axis=-1).sum())
    assert path.ate_percent == pytest.approx(100 * path.ate / path.length)


def test_jitter_shows_from_frame_to_frame(world):
    truth = world.make_truth("line")
    solved = world.change_poses(
        world.solve_exactly(truth),
        lambda k, pose: world.turn_camera(pose, world.rotation(0, 0.1 if k % 2 else -0.1, 0)),
    )
    report = evaluate(solved, truth)
    assert report.rotation_step == pytest.approx(0.2, rel=1e-3)
    assert report.rotation.median == pytest.approx(0.1, rel=0.05)
    # 0.1 degrees at a focal length of 150 px, more towards the sides
    assert 0.26 < report.reprojection.median < 0.30


def test_a_gap_in_the_shot_is_no_step(world):
    truth = world.make_truth("line")

    def edit(k, pose):
        elsewhere = Similarity(1.0, world.rotation(0, 0.4, 0), np.zeros(3))
        if k < 3:
            return pose
        matrix = elsewhere.apply_to_pose(pose.camera_from_world)
        return None if k == 3 else dataclasses.replace(pose, camera_from_world=matrix)

    report = evaluate(world.change_poses(world.solve_exactly(truth), edit), truth)
    assert (report.matched, report.registered) == (8, 7)
    assert report.rotation_step < 1e-6
    assert report.rotation.median > 0.1
    assert [frame.registered for frame in report.frames] == [k != 3 for k in range(8)]
    assert report.frames[3].rotation is None
    assert "shot.1004.png" in report.table()
    assert report.depth.frames == 7


def test_focal_error_median_and_spread(world):
    truth = world.make_truth()

    def edit(k, pose):
        factor = 1.03 if k % 2 else 1.01
        return dataclasses.replace(pose, fx=pose.fx * factor, fy=pose.fy * factor)

    report = evaluate(world.change_poses(world.solve_exactly(truth), edit), truth)
    assert report.focal.median == pytest.approx(0.02)
    assert report.focal.spread == pytest.approx(0.01)
    assert report.frames[0].focal == pytest.approx(0.01)


def test_an_unknown_distortion_shows_as_pixels(world):
    truth = world.make_truth("arc", BARREL)
    solved = world.change_poses(world.solve_exactly(truth), lambda k, pose: dataclasses.replace(pose, distortion=None))
    assert evaluate(solved, truth).reprojection.p95 > 1.0


def test_an_almost_straight_path_is_not_judged_by_its_centres_alone(world):
    truth = world.make_truth("line")
    bend = 0.004 * np.sin(np.arange(8.0))[:, None] * [0, 1, 0]
    known = tuple(
        dataclasses.replace(
            frame,
            camera_from_world=np.column_stack(
                [frame.camera_from_world[:, :3], frame.camera_from_world[:, 3] - frame.camera_from_world[:, :3] @ shift]
            ),
        )
        for frame, shift in zip(truth.frames, bend, strict=True)
    )
    truth = Truth(known)
    noise = 0.002 * np.random.default_rng(2).standard_normal((8, 3))
    solved = world.change_poses(world.solve_exactly(truth), lambda k, pose: world.move_camera(pose, noise[k]))
    report = evaluate(solved, truth)
    assert report.reprojection.median < 0.15
    assert report.reprojection_of_centers.median > 5 * report.reprojection.median


def test_pixels_are_those_of_the_solved_picture(world):
    truth = world.make_truth()

    def doubled(turn: float):
        exact = world.solve_exactly(truth)
        frames = tuple(
            dataclasses.replace(
                frame,
                width=2 * frame.width,
                height=2 * frame.height,
                depth_to_image=np.array([[2.0, 0, 0], [0, 2.0, 0]]),
                pose=world.turn_camera(
                    dataclasses.replace(frame.pose, fx=300.0, fy=300.0, cx=160.0, cy=90.0),
                    world.rotation(0, turn if k % 2 else -turn, 0),
                ),
            )
            for k, frame in enumerate(exact.frames)
        )
        return evaluate(dataclasses.replace(exact, frames=frames), truth)

    assert doubled(0.0).reprojection.p95 < 1e-3
    assert doubled(0.0).depth.abs_rel < 1e-6
    assert 0.52 < doubled(0.1).reprojection.median < 0.60


def test_known_points_from_a_few_depth_maps_are_enough(world):
    truth = world.make_truth()
    solved = world.change_poses(
        world.solve_exactly(truth),
        lambda k, pose: world.turn_camera(pose, world.rotation(0, 0.1 if k % 2 else -0.1, 0)),
    )
    thin = Truth(tuple(dataclasses.replace(f, depth=f.depth if k == 0 else None) for k, f in enumerate(truth.frames)))
    report = evaluate(solved, thin)
    assert 0.26 < report.reprojection.median < 0.30
    assert all(frame.reprojection is not None for frame in report.frames)
    assert report.depth.frames == 1
    without = Truth(tuple(dataclasses.replace(frame, depth=None) for frame in truth.frames))
    report = evaluate(solved, without)
    assert report.reprojection is None
    assert report.depth is None
    assert report.path is not None


def test_names_match_without_their_extension(world):
    truth = world.make_truth()
    renamed = Truth(tuple(dataclasses.replace(f, name=f.name.replace(".png", ".jpg")) for f in truth.frames[2:]))
    report = evaluate(world.solve_exactly(truth), renamed)
    assert (report.known, report.matched, report.registered) == (6, 6, 6)
    assert report.reprojection.p95 < 1e-3


def test_the_number_of_a_video_s_frame_is_no_extension(world):
    truth = world.make_truth()
    numbered = Truth(tuple(dataclasses.replace(f, name=f"shot.{k + 1:04d}.png") for k, f in enumerate(truth.frames)))
    solved = world.solve_exactly(truth)
    of_video = [dataclasses.replace(f, name=f"shot.{k + 1:04d}") for k, f in enumerate(solved.frames)]
    report = evaluate(dataclasses.replace(solved, frames=of_video), numbered)
    assert (report.matched, report.registered) == (8, 8)
    assert report.reprojection.p95 < 1e-3


def test_a_name_that_fits_two_frames_is_refused(world):
    truth = world.make_truth()
    endings = ("png", "jpg")
    names = [f"{k // 2}.{endings[k % 2]}" for k in range(len(truth.frames))]
    twins = Truth(tuple(dataclasses.replace(f, name=name) for f, name in zip(truth.frames, names, strict=True)))
    solved = world.solve_exactly(truth)
    frames = [dataclasses.replace(f, name=f"{k}.tif") for k, f in enumerate(solved.frames)]
    with pytest.raises(JobError, match="Two frames of the truth are called '0'"):
        evaluate(dataclasses.replace(solved, frames=frames), twins)


def test_no_common_frame_is_one_clear_line(world):
    truth = world.make_truth()
    strangers = Truth(tuple(dataclasses.replace(f, name=f"other{k}") for k, f in enumerate(truth.frames)))
    with pytest.raises(JobError, match=r"shot\.1001\.png") as failure:
        evaluate(world.solve_exactly(truth), strangers)
    assert "\n" not in failure.value.message


def test_nothing_registered_is_a_report_and_no_crash(world):
    truth = world.make_truth()
    report = evaluate(world.change_poses(world.solve_exactly(truth), lambda k, pose: None), truth)
    assert (report.matched, report.registered) == (8, 0)
    assert report.path is None
    assert report.reprojection is None
    assert "0 of 8" in report.table()


def test_one_registered_frame_has_a_lens_but_no_path(world):
    truth = world.make_truth()
    report = evaluate(world.change_poses(world.solve_exactly(truth), lambda k, p: p if k == 2 else None), truth)
    assert report.registered == 1
    assert report.path is None
    assert report.focal.median == pytest.approx(0, abs=1e-12)


def test_the_residual_is_kept_apart(world):
    truth = world.make_truth()
    points = Points(
        xyz=np.zeros((3, 3), np.float32),
        rgb=np.zeros((3, 3), np.uint8),
        error=np.float32([0.5, 1.0, np.nan]),
        observations=np.int32([2, 6, 3]),
    )
    solved = dataclasses.replace(world.solve_exactly(truth), points=points)
    reporting = dataclasses.replace(solved, engine={"name": "test", "residual_px": 0.25})
    assert evaluate(reporting, truth).residual == 0.25
    report = evaluate(solved, truth)
    assert report.residual == pytest.approx((2 * 0.5 + 6 * 1.0) / 8)
    assert report.reprojection.p95 < 1e-3


def test_the_report_is_plain_json_and_the_table_says_the_same(world):
    truth = world.make_truth()
    solved = world.change_poses(
        world.solve_exactly(truth),
        lambda k, pose: world.turn_camera(pose, world.rotation(0, 0.1 if k % 2 else -0.1, 0)),
    )
    report = evaluate(solved, truth)
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["reprojection"]["median"] == pytest.approx(report.reprojection.median)
    assert values["frames"][1]["name"] == "shot.1002.png"
    assert f"median {report.reprojection.median:.3f} px" in report.table()
    assert "8 of 8 (100.0 %)" in report.table()
