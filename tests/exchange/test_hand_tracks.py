"""The file of tracks by hand: what is in it comes through, what is not one is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vggt_blender.cli import _job, _parser
from vggt_blender.exchange.hand_tracks import HandTrack, HandTracks, load_hand_tracks
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.messages import JobError

DOOR = HandTrack("door", ((1001, 512.25, 300.5), ("shot.1002.png", 514.0, 301.0)), (1.204, 3.377, 2.1))
LAMP = HandTrack("lamp", ((1001, 20.0, 30.0),))
GOOD: dict[str, Any] = HandTracks((DOOR, LAMP)).document()


def test_the_file_and_the_job_hold_them_all(tmp_path: Path) -> None:
    file = tmp_path / "tracks.json"
    file.write_text(json.dumps(GOOD))
    options = _parser().parse_args(["reconstruct", "in", "--output", "out", "--hand-tracks", str(file)])
    job = _job(options)
    assert job.hand_tracks == HandTracks((DOOR, LAMP))
    assert job.hand_tracks.measured == 1
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    assert not Job.from_dict({"inputs": ["a"], "output": "b", "hand_tracks": None}).hand_tracks


def changed(**entries: Any) -> dict[str, Any]:
    return {**GOOD, "tracks": [{**GOOD["tracks"][0], **entries}]}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "begin with"),
        ({**GOOD, "version": 2}, "begin with"),
        ({**GOOD, "cameras": []}, "'tracks'"),
        ({**GOOD, "tracks": {}}, "'tracks'"),
        ({**GOOD, "tracks": [3]}, "track 0"),
        ({**GOOD, "tracks": GOOD["tracks"] * 2}, "'door'"),
        (changed(name=""), "track 0"),
        (changed(name="a\nb"), "track 0"),
        (changed(colour=1), "'door'"),
        (changed(observations="1001"), "'door'"),
        (changed(observations=[[1001, 3.0]]), "[frame, x, y]"),
        (changed(observations=[[True, 3.0, 4.0]]), "[frame, x, y]"),
        (changed(observations=[[1001, 3.0, float("nan")]]), "[frame, x, y]"),
        (changed(observations=[[1001, 3.0, 10**400]]), "[frame, x, y]"),
        (changed(observations=[[1001, 3.0, 4.0], [1001, 3.0, 4.0]]), "two places"),
        (changed(xyz=[1, 2]), "'xyz'"),
        (changed(xyz=[1, 2, float("inf")]), "'xyz'"),
    ],
)
def test_what_is_no_such_file_is_refused_in_one_line(document: Any, said: str) -> None:
    with pytest.raises(JobError) as caught:
        HandTracks.from_document(document)
    assert caught.value.code == "usage"
    assert said in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[" * 100_000, b'{"format": '])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tracks.json"
    file.write_bytes(content)
    with pytest.raises(JobError) as caught:
        load_hand_tracks(file)
    assert "tracks.json" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"nothing\.json"):
        load_hand_tracks(tmp_path / "nothing.json")
