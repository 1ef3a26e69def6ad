"""Exports beside jobs in `serve`: the same queue, messages and cancelling."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from vggt_blender.exchange.reconstruction import Frame, Points, Pose, Source
from vggt_blender.exchange.writer import ReconstructionWriter

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a pipe for a plate")

XYZ = np.random.default_rng(0).uniform(-1, 1, (40, 3)).astype(np.float32)


@pytest.fixture
def solved(tmp_path: Path) -> Path:
    """A reconstruction of two frames whose plates never answer, like those on a drive that went away."""
    frames = []
    for number in (1, 2):
        plate = tmp_path / f"plate.{number}.png"
        os.mkfifo(plate)
        pose = Pose(np.eye(3, 4), 70.0, 70.0, 32.0, 18.0, (-0.2, 0.0, 0.0, 0.0, 0.0))
        frames.append(Frame(plate.name, str(plate), number - 1, number, 64, 36, pose))
    with ReconstructionWriter(tmp_path / "solved") as writer:
        writer.write_points(
            Points(XYZ, np.full((40, 3), 99, np.uint8), np.zeros(40, np.float32), np.full(40, 2, np.int32))
        )
        return writer.finish(engine={"name": "t"}, source=Source("sequence", str(tmp_path)), frames=frames)


def test_one_that_is_cancelled_leaves_nothing_and_the_next_is_written(shell: Any, tmp_path: Path, solved: Path) -> None:
    command = shell.start("serve")
    before = sorted(path.name for path in solved.iterdir())
    command.tell(type="export", id="first", folder=str(solved), to="undistorted", output=str(solved / "undistorted"))
    place = [[0, -2, 0, 1], [2, 0, 0, 2], [0, 0, 2, 3]]
    output = tmp_path / "new" / "points.ply"
    command.tell(type="export", id="second", folder=str(solved), to="ply", output=str(output), place=place)
    assert command.message(type="progress", job="first")["stage"] == "plates"
    command.tell(type="cancel", job="first")
    assert command.message(type="error")["code"] == "cancelled"
    assert sorted(path.name for path in solved.iterdir()) == before
    assert Path(command.message(type="done", job="second")["path"]) == output
    moved = 2 * np.column_stack([-XYZ[:, 1], XYZ[:, 0], XYZ[:, 2]]) + [1, 2, 3]
    assert np.allclose(trimesh.load(output).vertices, moved, atol=1e-5)
    assert [path.name for path in output.parent.iterdir()] == ["points.ply"]


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"to": "avi"}, "avi"),
        ({"color": 1}, "color"),
        ({"folder": ""}, "folder"),
        ({"overwrite": "yes"}, "overwrite"),
        ({"place": [[1, 0, 0, 0]]}, "place"),
        ({"place": [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}, "place"),
        ({"place": [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}, "place"),
    ],
)
def test_a_request_that_makes_no_sense_is_one_line(
    shell: Any, tmp_path: Path, solved: Path, entries: dict[str, Any], named: str
) -> None:
    command = shell.start("serve")
    command.tell(
        **{"type": "export", "id": "x", "folder": str(solved), "to": "ply", "output": str(tmp_path / "a"), **entries}
    )
    command.process.stdin.close()
    command.process.stdin = None  # communicate would flush it
    failure = command.message(type="error")
    assert (failure["job"], failure["code"]) == ("x", "usage")
    assert named in failure["message"]
    assert not (tmp_path / "a").exists()
