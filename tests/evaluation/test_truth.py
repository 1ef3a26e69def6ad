"""A truth.json is read with care."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vggt_blender.evaluation import load_truth
from vggt_blender.exchange.messages import JobError


def document() -> dict:
    pose = np.eye(4)[:3].tolist()
    frame = {"name": "a.png", "camera_from_world": pose, "fx": 10, "fy": 10, "cx": 8, "cy": 4.5, "depth": "depth/a.npy"}
    return {"width": 16, "height": 9, "frames": [frame]}


def write(folder, values) -> str:
    (folder / "depth").mkdir(exist_ok=True)
    np.save(folder / "depth" / "a.npy", np.full((9, 16), 3.0, np.float32))
    path = folder / "truth.json"
    path.write_text(json.dumps(values))
    return str(path)


def test_it_is_read(tmp_path):
    values = document()
    values["frames"][0]["distortion"] = [-0.1, 0, 0, 0, 0]
    values["frames"].append({**values["frames"][0], "name": "b.png", "width": 32, "height": 18, "depth": None})
    first, second = load_truth(write(tmp_path, values)).frames
    assert (first.name, first.width, first.height) == ("a.png", 16, 9)
    assert first.lens.distortion == [-0.1, 0, 0, 0, 0]
    assert first.depth.shape == (9, 16)
    assert (second.width, second.height, second.depth) == (32, 18, None)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("camera_from_world", [[1, 0, 0, 0]], "3x4"),
        ("fx", 0, "not positive"),
        ("fx", "wide", "wide"),
        ("depth", "../secret.npy", "outside"),
        ("depth", "depth/none.npy", "none.npy"),
        ("distortion", [0.1], "k1 k2 p1 p2 k3"),
        ("name", None, "name"),
    ],
)
def test_a_bad_frame_is_one_clear_line(tmp_path, key, value, says):
    values = document()
    if value is None:
        del values["frames"][0][key]
    else:
        values["frames"][0][key] = value
    with pytest.raises(JobError, match="Frame 0") as failure:
        load_truth(write(tmp_path, values))
    assert says in failure.value.message
    assert "\n" not in failure.value.message


def test_what_is_no_truth_is_said(tmp_path):
    with pytest.raises(JobError, match="no truth"):
        load_truth(tmp_path / "truth.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(JobError, match="holds no frames"):
        load_truth(tmp_path / "list.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(JobError, match="cannot be read"):
        load_truth(tmp_path / "broken.json")
