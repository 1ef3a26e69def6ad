"""A known distance: everything grows by one factor, in metres."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vggt_blender.exchange.known import Distance
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import load_reconstruction
from vggt_blender.geometry.cameras import camera_center
from vggt_blender.refinement.scale import scale_to_distance


def centers(folder: Path) -> np.ndarray:
    poses = [frame.pose.camera_from_world for frame in load_reconstruction(folder).frames if frame.pose]
    return camera_center(np.stack(poses))


@pytest.mark.parametrize("names", [("1001", "1008"), ("shot.1001.png", "shot.1008.png")])
def test_cameras_and_depth_are_in_metres(shots: Any, painted: Any, tmp_path: Path, names: tuple[str, str]) -> None:
    shot, truth = shots["arc"]
    folder = tmp_path / "r"
    painted.solve(folder, shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    before, depth = centers(folder), np.array(load_reconstruction(folder).depth[3])
    recorder = painted.Recorder()
    scale_to_distance(folder, Distance(*names, 6.6), recorder)
    result = load_reconstruction(folder)
    after = centers(folder)
    assert np.linalg.norm(after[7] - after[0]) == pytest.approx(6.6)
    factor = 6.6 / np.linalg.norm(before[7] - before[0])
    np.testing.assert_allclose(after, factor * before, atol=1e-9)
    np.testing.assert_allclose(result.depth[3], factor * depth, rtol=1e-6)
    assert result.units == "m"
    assert result.extra["note"] == "kept"
    assert result.tracks is not None
    assert any("metres" in line for line in recorder.said)


def test_frames_of_a_video_are_counted_from_0(shots: Any, painted: Any, tmp_path: Path) -> None:
    shot, truth = shots["arc"]
    folder = tmp_path / "r"
    painted.solve(folder, shot, truth, painted.disturb(truth, 0.0, 0.0, 1.0))
    document = json.loads((folder / "reconstruction.json").read_text())
    document["source"]["kind"] = "video"
    for frame in document["frames"]:
        frame["number"] = frame["index"] + 1
    (folder / "reconstruction.json").write_text(json.dumps(document))
    scale_to_distance(folder, Distance("0", "7", 6.6), painted.Recorder())
    after = centers(folder)
    assert np.linalg.norm(after[7] - after[0]) == pytest.approx(6.6)


@pytest.mark.parametrize(
    ("names", "said"),
    [(("1001", "1099"), "no frame '1099'"), (("1001", "1003"), "not be placed"), (("1001", "1002"), "one place")],
)
def test_what_cannot_be_measured_changes_nothing(
    shots: Any, painted: Any, tmp_path: Path, names: tuple[str, str], said: str
) -> None:
    shot, truth = shots["arc"]
    poses = painted.disturb(truth, 0.0, 0.0, 1.0)
    poses[2], poses[1] = None, poses[0]
    painted.solve(tmp_path / "r", shot, truth, poses)
    before = painted.fingerprint(tmp_path / "r")
    with pytest.raises(JobError, match=said):
        scale_to_distance(tmp_path / "r", Distance(*names, 2.0), painted.Recorder())
    assert painted.fingerprint(tmp_path / "r") == before
