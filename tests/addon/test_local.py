"""Solving in Blender's own Python: the same job, messages and result as in a process."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vggt_blender.backend import local
from vggt_blender.backend.client import BackendClient
from vggt_blender.backend.local import LocalClient
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.messages import FINAL_TYPES, JobError, Message
from vggt_blender.exchange.reconstruction import load_reconstruction

pytest.importorskip("pycolmap")
ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0


@pytest.fixture
def client() -> Iterator[LocalClient]:
    client = LocalClient()
    yield client
    client.close(10.0)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Five frames of the sample shot, small."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "plates"
    folder.mkdir()
    for path in sorted((ROOT / "samples" / "courtyard").glob("sample.*.jpg"))[:10:2]:
        with image.open(path) as picture:
            picture.resize((384, 216)).save(folder / path.name)
    return folder


def finish(client: LocalClient | BackendClient) -> list[Message]:
    collected: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for message in client.messages(0.005, wait_s=0.05):
            collected.append(message)
            if message["type"] in FINAL_TYPES:
                return collected
    raise AssertionError(collected[-3:])


def stages(messages: list[Message]) -> list[str]:
    """The stages in the order of their first report."""
    return list(dict.fromkeys(m["stage"] for m in messages if m["type"] == "progress"))


def test_the_same_job_gives_the_same_messages_and_result(client: LocalClient, pictures: Path, tmp_path: Path) -> None:
    other = BackendClient(Path(sys.executable), ROOT)
    told = []
    for name, runner in (("here", client), ("process", other)):
        runner.submit(Job((str(pictures),), str(tmp_path / name), id=name, engine="colmap"))
        assert runner.busy
        told.append(finish(runner))
        assert not runner.busy
    other.close()
    here, process = told
    assert here[-1] == {"type": "done", "job": "here", "path": str(tmp_path / "here")}
    assert stages(here) == stages(process)
    assert {tuple(sorted(m)) for m in here} == {tuple(sorted(m)) for m in process}
    solved = [load_reconstruction(tmp_path / name) for name in ("here", "process")]
    placed = [[(frame.name, frame.registered) for frame in one.frames] for one in solved]
    assert placed[0] == placed[1]
    assert solved[0].depth.shape == solved[1].depth.shape
    focal = [frame.pose.fx for one in solved for frame in one.frames if frame.pose is not None]
    assert np.ptp(focal) < 0.02 * np.mean(focal)


def test_cancel_stops_it_leaves_nothing_and_the_next_job_runs(
    client: LocalClient, pictures: Path, tmp_path: Path
) -> None:
    client.submit(Job((str(pictures),), str(tmp_path / "out"), id="a", engine="colmap"))
    while not any(message["type"] == "progress" for message in client.messages(0.005, wait_s=0.05)):
        pass
    client.cancel("a")
    assert finish(client)[-1]["code"] == "cancelled"
    assert not (tmp_path / "out").exists()
    client.submit(Job((str(tmp_path / "nothing here"),), str(tmp_path / "out"), id="b", engine="colmap"))
    error = finish(client)[-1]
    assert (error["job"], error["code"]) == ("b", "not_found")
    assert "\n" not in error["message"]


def test_a_cancelled_id_can_be_used_again(client: LocalClient, tmp_path: Path) -> None:
    def job(name: str) -> Job:
        return Job((str(tmp_path / "nothing here"),), str(tmp_path / name), engine="colmap")

    client.submit(job("first"))
    with pytest.raises(JobError, match="give each its own id"):
        client.submit(job("second"))
    client.cancel("job")
    assert finish(client)[-1]["type"] == "error"
    client.cancel("job")  # too late
    client.submit(job("third"))
    assert finish(client)[-1]["code"] == "not_found"


def test_close_ends_the_thread(pictures: Path, tmp_path: Path) -> None:
    client = LocalClient()
    client.submit(Job((str(tmp_path / "nothing here"),), str(tmp_path / "out"), id="b", engine="colmap"))
    finish(client)
    assert any(thread.name == "vggt-local" for thread in threading.enumerate())
    client.close(10.0)
    assert not any(thread.name == "vggt-local" for thread in threading.enumerate())


def test_a_python_without_the_libraries_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local, "LIBRARIES", {"numpy": "numpy", "no_such_module": "no-such-package"})
    problem = local.obstacle()
    assert problem is not None
    assert "no-such-package" in problem
    assert "numpy" not in problem
    with pytest.raises(JobError, match="no-such-package"):
        LocalClient().submit(Job(("x",), str(tmp_path)))


def test_from_the_button_to_the_scene(bpy: ModuleType, addon: ModuleType, pictures: Path, tmp_path: Path) -> None:
    preferences = bpy.context.preferences.addons["vggt_matchmove"].preferences
    preferences.interpreter = str(tmp_path / "missing")  # not looked at
    preferences.run_in = "here"
    settings = bpy.context.scene.vggt
    settings.source, settings.engine = str(pictures), "colmap"
    settings.use_planes = False
    assert bpy.ops.vggt.solve() == {"FINISHED"}
    (entry,) = settings.results
    assert (entry.engine, entry.total) == ("colmap", 5)
    document = json.loads((Path(entry.folder) / "reconstruction.json").read_text())
    assert document["format"] == "vggt-reconstruction"
    assert addon.operators.session.session.client.pid is None
    settings.source = str(tmp_path / "nothing here")
    with pytest.raises(RuntimeError, match="nothing here"):
        bpy.ops.vggt.solve()
    shutil.rmtree(entry.folder)
