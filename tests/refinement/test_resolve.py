"""A few frames solved again: they come back to the shot's level, and nothing else moves by a bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vggt_blender.engines import run_job
from vggt_blender.evaluation import Truth, evaluate, load_truth
from vggt_blender.exchange.hand_tracks import HandTrack, HandTracks
from vggt_blender.exchange.job import FrameRange, Job
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import Frame, Reconstruction, load_reconstruction
from vggt_blender.geometry.cameras import camera_center, project
from vggt_blender.refinement.resolve import resolve

BAD = (3, 4)


def damaged(shots: Any, painted: Any, folder: Path, *, lost: tuple[int, ...] = ()) -> tuple[Path, Truth]:
    """The arc with true cameras but for frames `BAD`, which are 3 degrees and 0.3 off, or `lost`."""
    shot, truth = shots["arc"]
    poses = painted.disturb(truth, 0.0, 0.0, 1.0)
    off = painted.disturb(truth, 3.0, 0.3, 1.0)
    for k in BAD:
        poses[k] = None if k in lost else off[k]
    painted.solve(folder, shot, truth, poses)
    return shot, truth


def reprojection(folder: Path, truth: Truth) -> np.ndarray:
    """(N,) the true error of each frame, infinite where it has no place."""
    report = evaluate(load_reconstruction(folder), truth)
    found = {frame.name: frame.reprojection for frame in report.frames}
    return np.array([found.get(frame.name) or np.inf for frame in truth.frames])


def as_written(frame: Frame) -> str:
    pose = frame.pose
    return json.dumps(
        [pose.camera_from_world.tolist(), pose.fx, pose.fy, pose.cx, pose.cy, pose.distortion, frame.extra]
    )


def assert_others_untouched(before: Reconstruction, after: Reconstruction) -> None:
    for k in set(range(8)) - set(BAD):
        assert as_written(after.frames[k]) == as_written(before.frames[k])
        assert after.depth[k].tobytes() == before.depth[k].tobytes()
        assert after.confidence[k].tobytes() == before.confidence[k].tobytes()


@pytest.mark.parametrize("lost", [(), (3,), (3, 4)])
def test_bad_frames_come_back_and_the_others_stay(shots, painted, tmp_path, lost) -> None:
    shot, truth = damaged(shots, painted, tmp_path / "r", lost=lost)
    damaged(shots, painted, tmp_path / "copy", lost=lost)
    recorder = painted.Recorder()
    report = resolve(tmp_path / "r", painted.open(shot), FrameRange(1004, 1006), recorder)
    assert report.accepted, report.reason
    assert report.better == ("shot.1004.png", "shot.1005.png")
    assert report.kept == ()
    after = load_reconstruction(tmp_path / "r")
    assert_others_untouched(load_reconstruction(tmp_path / "copy"), after)
    for k in BAD:
        found, known = after.frames[k].pose.camera_from_world, truth.frames[k].camera_from_world
        assert np.linalg.norm(camera_center(found) - camera_center(known)) < 0.02
        assert np.degrees(np.arccos((np.trace(found[:, :3] @ known[:, :3].T) - 1) / 2)) < 0.1
        assert after.frames[k].extra["residual_px"] < 0.5
        assert after.frames[k].extra["mark"] == k
        ratio = np.nanmedian(after.depth[k] / truth.frames[k].depth)
        assert ratio == pytest.approx(1.0, abs=0.02), "brought from 4 % too deep to what the cameras see"
    assert reprojection(tmp_path / "r", truth).max() < 0.4
    assert report.after_px < 0.5
    (entry,) = json.loads((tmp_path / "r" / "reconstruction.json").read_text())["resolved"]
    assert entry["frames"] == "1004:1006:1"
    assert entry["better"] == list(report.better)
    assert any("2 of 2 frames solved again" in line for line in recorder.said)


@pytest.mark.parametrize("lost", [(), (3,)])
def test_where_a_frame_shows_nothing_four_tracks_by_hand_place_it(shots, painted, tmp_path, lost) -> None:
    shot, truth = damaged(shots, painted, tmp_path / "r", lost=lost)
    dark = tmp_path / "dark"
    dark.mkdir()
    for path in shot.glob("*.png"):
        (dark / path.name).write_bytes(path.read_bytes())
    Image.fromarray(np.full((300, 400, 3), 90, np.uint8)).save(dark / "shot.1004.png")
    tracks = []
    for place in ((-1.9, 1.1, 9.0), (1.8, -1.2, 9.0), (0.3, 1.0, 4.6), (-0.9, -1.1, 4.2), (0.3, 1.9, 9.0)):
        seen = [(f.name, *project(np.array(place), f.camera_from_world, f.lens)[0].tolist()) for f in truth.frames[1:6]]
        tracks.append(HandTrack(str(place), tuple(entry for entry in seen if 0 < entry[2] < 300)))
    report = resolve(
        tmp_path / "r",
        painted.open(dark),
        FrameRange(1004, 1006),
        painted.Recorder(),
        hand_tracks=HandTracks(tuple(tracks)),
    )
    assert "shot.1004.png" in report.better
    found = load_reconstruction(tmp_path / "r").frames[3].pose.camera_from_world
    assert np.linalg.norm(camera_center(found) - camera_center(truth.frames[3].camera_from_world)) < 0.03


def test_good_frames_stay_bit_for_bit_and_the_report_says_why(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    before = painted.fingerprint(tmp_path / "r")
    recorder = painted.Recorder()
    report = resolve(tmp_path / "r", painted.open(shot), FrameRange(1004, 1006), recorder)
    assert not report.accepted
    assert "do not agree clearly better" in report.reason
    assert painted.fingerprint(tmp_path / "r") == before
    assert any("stays as it was" in line for line in recorder.said)


def test_frames_that_show_nothing_stay_and_the_report_says_what_would_help(shots, painted, tmp_path) -> None:
    shot, _ = damaged(shots, painted, tmp_path / "r")
    dark = tmp_path / "dark"
    dark.mkdir()
    for k, path in enumerate(sorted(shot.glob("*.png"))):
        if k in BAD:
            Image.fromarray(np.full((300, 400, 3), 90, np.uint8)).save(dark / path.name)
        else:
            (dark / path.name).write_bytes(path.read_bytes())
    before = painted.fingerprint(tmp_path / "r")
    report = resolve(tmp_path / "r", painted.open(dark), FrameRange(1004, 1006), painted.Recorder())
    assert not report.accepted
    assert "placed by hand" in report.reason
    assert painted.fingerprint(tmp_path / "r") == before


def test_the_mask_of_the_first_solve_counts_again(shots, painted, tmp_path) -> None:
    """One that hides everything leaves nothing to follow; without it the frames come back."""
    shot, _ = damaged(shots, painted, tmp_path / "r")
    Image.new("L", (painted.open(shot).frames[0].width, painted.open(shot).frames[0].height)).save(tmp_path / "all.png")
    file = tmp_path / "r" / "reconstruction.json"
    document = json.loads(file.read_text())
    document["engine"]["settings"] = {"mask": str(tmp_path / "all.png")}
    file.write_text(json.dumps(document))
    job = Job((str(shot),), str(tmp_path / "r"), frames=FrameRange(1004, 1006), resolve=True)
    before = painted.fingerprint(tmp_path / "r")
    run_job(job, painted.Recorder())
    assert painted.fingerprint(tmp_path / "r") == before
    (tmp_path / "all.png").unlink()
    recorder = painted.Recorder()
    run_job(job, recorder)
    assert any("mask of the first solve is gone" in line for line in recorder.said)
    assert load_reconstruction(tmp_path / "r").extra["resolved"][0]["better"] == ["shot.1004.png", "shot.1005.png"]


def test_what_cannot_be_is_one_line_and_changes_nothing(shots, painted, tmp_path) -> None:
    shot, truth = shots["pan"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    before = painted.fingerprint(tmp_path / "r")
    source, recorder = painted.open(shot), painted.Recorder()
    with pytest.raises(JobError, match="none of the frames 1001 to 1008"):
        resolve(tmp_path / "r", source, FrameRange(1, 5), recorder)
    assert "only turns" in resolve(tmp_path / "r", source, FrameRange(1003, 1005), recorder).reason
    assert "hold nothing" in resolve(tmp_path / "r", source, FrameRange(1001, 1008), recorder).reason
    assert painted.fingerprint(tmp_path / "r") == before


def test_pictures_that_are_gone_are_named(shots, painted, tmp_path) -> None:
    shot, _ = damaged(shots, painted, tmp_path / "r")
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for path in sorted(shot.glob("*.png"))[:5]:
        (fewer / path.name).write_bytes(path.read_bytes())
    with pytest.raises(JobError, match=r"'shot\.1006\.png' is not among the pictures"):
        resolve(tmp_path / "r", painted.open(fewer), FrameRange(1004, 1006), painted.Recorder())


@pytest.mark.slow
def test_engine_colmap_finds_the_depth_of_such_frames_anew(solved_yard, painted, tmp_path) -> None:
    """On every second frame of a truth shot: one frame lost its place and its depth."""
    shot = Path(__file__).parents[1] / "data" / "truth" / "small_yard"
    folder, recorder = shutil.copytree(solved_yard, tmp_path / "r"), painted.Recorder()
    whole = load_reconstruction(folder)
    expected, kept = np.array(whole.depth[3]), whole.depth[2].tobytes()
    depth = np.array(whole.depth)
    depth[3] = np.nan
    del whole
    np.save(folder / "depth.npy", depth)
    document = json.loads((folder / "reconstruction.json").read_text())
    document["frames"][3].update(registered=False, camera_from_world=None)
    document["engine"]["registered"] -= 1
    (folder / "reconstruction.json").write_text(json.dumps(document))
    inputs = load_reconstruction(folder).inputs()
    run_job(Job(inputs, str(folder), frames=FrameRange(1007, 1008), resolve=True), recorder)
    result = load_reconstruction(folder)
    error = reprojection(folder, load_truth(shot / "truth.json"))
    assert error[6] < 0.2
    assert result.engine["registered"] == 7
    assert result.depth[2].tobytes() == kept
    both = np.isfinite(expected) & np.isfinite(result.depth[3])
    assert both.mean() > 0.8 * np.isfinite(expected).mean()
    assert np.median(np.abs(result.depth[3][both] / expected[both] - 1)) < 0.01
