"""Tracks by hand and measured points, judged by the truth: they bring the error down, and the scene to its metres."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vggt_blender.engines import run_job
from vggt_blender.evaluation import Truth, evaluate
from vggt_blender.exchange.hand_tracks import HandTrack, HandTracks
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import load_reconstruction
from vggt_blender.geometry.alignment import Similarity
from vggt_blender.geometry.blender_axes import points_to_blender
from vggt_blender.geometry.cameras import camera_center, project
from vggt_blender.geometry.rotations import rotation_matrix
from vggt_blender.refinement import refine
from vggt_blender.refinement.settle import settle

# on the cards and the wall of the painted world
PLACES = {
    "wall left": (-1.9, 1.1, 9.0),
    "wall right": (1.8, -1.2, 9.0),
    "wall low": (0.3, 1.9, 9.0),
    "card left": (-2.2, 0.4, 6.6),
    "card right": (2.0, -0.5, 5.6),
    "card middle": (0.3, 1.0, 4.6),
    "card near": (-0.9, -1.1, 4.2),
    "card edge": (1.3, 0.2, 5.9),
}

# the survey's world, OpenCV's axes: turned, moved, and 0.4 m to the painter's unit
SURVEY = Similarity(0.4, rotation_matrix(np.array([0.3, -0.9, 0.2])), np.array([12.0, -1.6, 40.0]))


def by_hand(
    truth: Truth, *, noise: float = 0.0, measured: tuple[str, ...] = (), only: tuple[str, ...] = ()
) -> HandTracks:
    """Markers on `PLACES` in every frame, each `noise` pixels off in some direction."""
    rng = np.random.default_rng(0)
    tracks = []
    for name, place in PLACES.items():
        if only and name not in only:
            continue
        seen = []
        for frame in truth.frames:
            (x, y), _ = project(np.array(place), frame.camera_from_world, frame.lens)
            angle = rng.uniform(0, 2 * np.pi)
            x, y = float(x + noise * np.cos(angle)), float(y + noise * np.sin(angle))
            if 0 < x < frame.width and 0 < y < frame.height:
                seen.append((frame.name, x, y))
        xyz = tuple(float(value) for value in points_to_blender(SURVEY.apply(np.array(place))))
        tracks.append(HandTrack(name, tuple(seen), xyz if name in measured else None))
    return HandTracks(tuple(tracks))


def blank(shot: Path, folder: Path, names: tuple[str, ...] = ()) -> Path:
    """The shot with nothing to see in the frames `names`, or in all of them."""
    folder.mkdir()
    for path in sorted(shot.glob("*.png")):
        if not names or path.name in names:
            Image.fromarray(np.full((300, 400, 3), 90, np.uint8)).save(folder / path.name)
        else:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def settled(folder: Path, source: Any, hand: HandTracks, recorder: Any) -> dict[str, Any]:
    settle(folder, source, hand, recorder)
    return json.loads((folder / "reconstruction.json").read_text())


def test_where_nothing_can_be_matched_the_tracks_alone_solve_the_shot(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    empty = blank(shot, tmp_path / "blank")
    painted.solve(tmp_path / "r", empty, truth, painted.disturb(truth, degrees=1.0, shift=0.1, focal=1.0))
    before = evaluate(load_reconstruction(tmp_path / "r"), truth)
    assert not refine(tmp_path / "r", painted.open(empty), painted.Recorder()).accepted
    hand = by_hand(truth, noise=0.3)
    report = refine(tmp_path / "r", painted.open(empty), painted.Recorder(), hand_tracks=hand)
    after = evaluate(load_reconstruction(tmp_path / "r"), truth)
    assert before.reprojection.median > 3
    assert report.accepted, report.reason
    assert after.reprojection.median < 1.0
    assert report.hand_before_px > 2 > 0.5 > report.hand_after_px


def test_a_frame_that_shows_nothing_is_placed_by_four_tracks(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    dark = blank(shot, tmp_path / "dark", ("shot.1004.png",))
    poses = painted.disturb(truth, degrees=0.0, shift=0.0, focal=1.0)
    poses[3] = None
    painted.solve(tmp_path / "r", dark, truth, poses)
    hand = by_hand(truth, noise=0.2, only=("wall left", "wall right", "card middle", "card near"))
    report = refine(tmp_path / "r", painted.open(dark), painted.Recorder(), hand_tracks=hand)
    assert report.accepted, report.reason
    assert report.registered == ("shot.1004.png",)
    found = load_reconstruction(tmp_path / "r").frames[3].pose.camera_from_world
    off = np.linalg.norm(camera_center(found) - camera_center(truth.frames[3].camera_from_world))
    assert off < 0.03  # of a scene that is 4 to 9 deep


def test_true_cameras_are_not_bent_by_imprecise_tracks(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    before = painted.fingerprint(tmp_path / "r")
    report = refine(tmp_path / "r", painted.open(shot), painted.Recorder(), hand_tracks=by_hand(truth, noise=0.5))
    assert not report.accepted
    assert painted.fingerprint(tmp_path / "r") == before


FIVE = ("wall left", "wall right", "card middle", "card near", "card right")


def test_measured_points_give_the_scene_its_metres_and_its_place(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, degrees=1.0, shift=0.08, focal=1.03))
    hand = by_hand(truth, noise=0.2, measured=FIVE)
    source, recorder = painted.open(shot), painted.Recorder()
    assert refine(tmp_path / "r", source, recorder, hand_tracks=hand).accepted
    document = settled(tmp_path / "r", source, hand, recorder)
    result = load_reconstruction(tmp_path / "r")
    solved = camera_center(np.stack([frame.pose.camera_from_world for frame in result.frames]))
    known = SURVEY.apply(camera_center(np.stack([frame.camera_from_world for frame in truth.frames])))
    assert np.linalg.norm(solved - known, axis=1).max() < 0.004  # metres, without any alignment; the path is 0.9 m
    assert result.units == "m"
    ratio = np.nanmedian(result.depth[4]) / (0.4 * np.nanmedian(truth.frames[4].depth))
    assert ratio == pytest.approx(1.0, abs=0.01)
    entry = document["hand_tracks"]
    assert entry["gives"] == "survey"
    assert len(entry["tracks"]) == len(PLACES)
    assert all(track["fits"] and track["residual_px"] < 0.5 and track["frames"] > 4 for track in entry["tracks"])
    distances = {track["name"]: track["distance_m"] for track in entry["tracks"] if "xyz" in track}
    assert set(distances) == set(FIVE)
    assert max(distances.values()) < 0.01  # of 2 to 4 metres
    assert all(track["survey_px"] < 0.5 for track in entry["tracks"] if "xyz" in track)
    assert not any("left out" in line or "do not fit" in line for line in recorder.said)


def test_a_wrong_label_is_named_and_left_out(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    tracks = {track.name: track for track in by_hand(truth, measured=FIVE).tracks}
    one = tracks["card right"]
    tracks["card right"] = HandTrack(one.name, one.observations, (one.xyz[0] + 0.3, *one.xyz[1:]))
    recorder = painted.Recorder()
    hand = HandTracks(tuple(tracks.values()))
    document = settled(tmp_path / "r", painted.open(shot), hand, recorder)
    named = next(line for line in recorder.said if "left out" in line)
    assert "'card right' is 0.3 m" in named
    assert not any(f"'{name}'" in named for name in FIVE if name != "card right")
    wrong = [track["name"] for track in document["hand_tracks"]["tracks"] if not track["fits"]]
    assert wrong == ["card right"]
    solved = load_reconstruction(tmp_path / "r").frames[0].pose.camera_from_world
    known = SURVEY.apply(camera_center(truth.frames[0].camera_from_world))
    assert camera_center(solved) == pytest.approx(known, abs=1e-4)  # the others decide


def test_a_marker_that_slipped_is_named_with_its_frame(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    hand = by_hand(truth)
    slipped = hand.tracks[2]
    seen = [(frame, x + 9 * (frame == "shot.1006.png"), y) for frame, x, y in slipped.observations]
    tracks = (*hand.tracks[:2], HandTrack(slipped.name, tuple(seen)), *hand.tracks[3:])
    recorder = painted.Recorder()
    settled(tmp_path / "r", painted.open(shot), HandTracks(tracks), recorder)
    (line,) = [line for line in recorder.said if "do not fit" in line]
    assert "'wall low'" in line
    assert "shot.1006.png" in line
    assert line.count("px off") == 1


def test_swapped_labels_of_three_points_are_said_though_nobody_can_tell_which(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    tracks = {track.name: track for track in by_hand(truth, measured=FIVE[:3]).tracks}
    one, other = (tracks[name] for name in FIVE[:2])
    tracks[one.name] = HandTrack(one.name, one.observations, other.xyz)
    tracks[other.name] = HandTrack(other.name, other.observations, one.xyz)
    recorder = painted.Recorder()
    settled(tmp_path / "r", painted.open(shot), HandTracks(tuple(tracks.values())), recorder)
    (line,) = [line for line in recorder.said if "contradict" in line]
    assert all(f"'{name}'" in line for name in FIVE[:3])


def test_tracks_counted_from_another_frame_are_wrong_as_a_whole(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    names = [frame.name for frame in truth.frames]
    rng = np.random.default_rng(0)
    shuffled = dict(zip(names, rng.permutation(names), strict=True))
    hand = HandTracks(
        tuple(
            HandTrack(track.name, tuple((str(shuffled[frame]), x, y) for frame, x, y in track.observations))
            for track in by_hand(truth).tracks
        )
    )
    recorder = painted.Recorder()
    document = settled(tmp_path / "r", painted.open(shot), hand, recorder)
    assert any("as a whole" in line for line in recorder.said)
    assert not any(track["fits"] for track in document["hand_tracks"]["tracks"])


def test_two_measured_points_give_the_scale_alone(shots, painted, tmp_path) -> None:
    shot, truth = shots["arc"]
    painted.solve(tmp_path / "r", shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    before = load_reconstruction(tmp_path / "r").frames[2].pose.camera_from_world
    document = settled(tmp_path / "r", painted.open(shot), by_hand(truth, measured=FIVE[:2]), painted.Recorder())
    result = load_reconstruction(tmp_path / "r")
    after = result.frames[2].pose.camera_from_world
    np.testing.assert_allclose(after[:, :3], before[:, :3])
    np.testing.assert_allclose(camera_center(after), 0.4 * camera_center(before), atol=1e-4)
    assert result.units == "m"
    assert document["hand_tracks"]["gives"] == "scale"


@pytest.mark.parametrize(
    ("observations", "said"),
    [
        ((("shot.1001.png", 0.4, -90.0), ("shot.1002.png", 5.0, 5.0)), "outside its 400 x 300"),
        (((1, 5.0, 5.0), (2, 5.0, 5.0)), "how its frames are counted"),
    ],
)
def test_tracks_of_another_plate_end_the_job_before_it_begins(shots, painted, tmp_path, observations, said) -> None:
    hand = HandTracks((HandTrack("a", observations),))
    job = Job((str(shots["arc"][0]),), str(tmp_path / "out"), kind="sequence", engine="colmap", hand_tracks=hand)
    with pytest.raises(JobError, match=said):
        run_job(job, painted.Recorder())
    assert not (tmp_path / "out").exists()
