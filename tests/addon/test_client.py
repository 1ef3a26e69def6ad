"""The client against real child processes, well-behaved and not."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vggt_blender.backend.client import BackendClient
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.messages import FINAL_TYPES, JobError, Message
from vggt_blender.exchange.reconstruction import load_reconstruction

ROOT = Path(__file__).parents[2]
SPEAKER = str(Path(__file__).with_name("speaker.py"))
PATIENCE_S = 300.0


@pytest.fixture
def client() -> Iterator[BackendClient]:
    client = BackendClient(Path(sys.executable), ROOT, (SPEAKER,))
    yield client
    client.close(0.2)


def until(client: BackendClient, *types: str) -> list[Message]:
    """All messages up to and with the first of one of `types`."""
    collected: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for message in client.messages(0.005, wait_s=0.05):
            collected.append(message)
            if message["type"] in types:
                return collected
    raise AssertionError(f"none of {types} in {collected[-5:]}")


def finish(client: BackendClient) -> list[Message]:
    return until(client, *FINAL_TYPES)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_job_runs_to_its_result_in_order(client: BackendClient, tmp_path: Path) -> None:
    client.submit(Job(("solve",), str(tmp_path / "out"), id="a"))
    assert client.busy
    collected = finish(client)
    assert [m["done"] for m in collected if m["type"] == "progress"] == [0, 1, 2, 3, 4]
    assert [m["type"] for m in collected[-2:]] == ["warning", "done"]
    assert len(load_reconstruction(collected[-1]["path"]).frames) == 5
    assert not client.busy


def test_one_process_serves_several_jobs(client: BackendClient, tmp_path: Path) -> None:
    client.submit(Job(("solve",), str(tmp_path / "a"), id="a"))
    assert finish(client)[-1]["job"] == "a"
    pid = client.pid
    client.submit(Job(("fail",), str(tmp_path / "b"), id="b"))
    error = finish(client)[-1]
    assert (error["job"], error["code"], error["detail"]) == ("b", "no_overlap", "all the\ndetails")
    client.submit(Job(("solve",), str(tmp_path / "c"), id="c"))
    assert finish(client)[-1]["type"] == "done"
    assert client.pid == pid is not None


def test_what_is_no_message_is_passed_over(client: BackendClient, tmp_path: Path) -> None:
    client.submit(Job(("noise",), str(tmp_path / "a")))
    assert {m["type"] for m in finish(client)} == {"progress", "warning", "done"}


def test_cancel_ends_the_job_and_keeps_the_process(client: BackendClient, tmp_path: Path) -> None:
    client.submit(Job(("hold",), str(tmp_path / "a"), id="a"))
    until(client, "progress")
    client.cancel("a")
    assert finish(client)[-1]["code"] == "cancelled"
    client.cancel("a")  # a second click on the button does nothing
    client.submit(Job(("solve",), str(tmp_path / "b"), id="b"))
    assert finish(client)[-1]["type"] == "done"


def test_a_backend_deaf_to_cancel_is_ended(
    client: BackendClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vggt_blender.backend.client.CANCEL_GRACE_S", 0.3)
    client.submit(Job(("deaf",), str(tmp_path / "a"), id="a"))
    until(client, "progress")
    pid = client.pid
    assert pid is not None
    client.cancel("a")
    error = finish(client)[-1]
    assert (error["code"], client.pid) == ("cancelled", None)
    assert not is_running(pid)
    client.submit(Job(("solve",), str(tmp_path / "b"), id="b"))
    assert finish(client)[-1]["type"] == "done"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_backend_is_an_error_and_the_next_job_works(client: BackendClient, tmp_path: Path) -> None:
    client.submit(Job(("hold",), str(tmp_path / "a"), id="a"))
    until(client, "progress")
    assert client.pid is not None
    os.kill(client.pid, signal.SIGKILL)
    error = finish(client)[-1]
    assert (error["job"], error["code"]) == ("a", "backend_died")
    assert "memory" in error["message"]
    client.submit(Job(("solve",), str(tmp_path / "b"), id="b"))
    assert finish(client)[-1]["job"] == "b"


def test_a_crash_tells_its_exit_status_and_last_words(client: BackendClient, tmp_path: Path) -> None:
    client.submit(Job(("solve",), str(tmp_path / "a"), id="a"))
    finish(client)
    client.submit(Job(("die",), str(tmp_path / "b"), id="b"))
    error = finish(client)[-1]
    assert error["code"] == "backend_died"
    assert "exit status 3" in error["message"]
    assert "about to die" in error["detail"]


def test_a_backend_that_cannot_start_says_why(tmp_path: Path) -> None:
    client = BackendClient(Path(sys.executable), ROOT, (SPEAKER, "--broken"))
    client.submit(Job(("solve",), str(tmp_path / "a")))
    error = finish(client)[-1]
    assert error["code"] == "no_backend"
    assert "No module named 'numpy'" in error["message"]
    client.close()


def test_an_interpreter_that_is_none_is_one_line(tmp_path: Path) -> None:
    picture = tmp_path / "not_python"
    picture.write_bytes(b"\x89PNG")
    picture.chmod(0o755)
    with pytest.raises(JobError, match="does not start") as caught:
        BackendClient(picture, ROOT).submit(Job(("solve",), str(tmp_path / "a")))
    assert "\n" not in caught.value.message


def test_a_flood_is_taken_in_budgeted_sips_and_in_order(client: BackendClient, tmp_path: Path) -> None:
    client.submit(Job(("flood",), str(tmp_path / "a")))
    sips, seen = [], []
    deadline = time.monotonic() + PATIENCE_S
    while (not seen or seen[-1] != "done") and time.monotonic() < deadline:
        started = time.thread_time()  # what other programs take from this machine does not count
        seen += [m.get("done", m["type"]) for m in client.messages(0.004)]
        sips.append(time.thread_time() - started)
    assert seen[:20000] == list(range(20000))
    assert seen[20000:] == ["warning", "done"]
    assert max(sips) < sum(sips) / 3  # taken at once, the flood would be all of it


def test_close_leaves_no_process_in_the_middle_of_a_job(tmp_path: Path) -> None:
    for deed in ("hold", "deaf"):
        client = BackendClient(Path(sys.executable), ROOT, (SPEAKER,))
        client.submit(Job((deed,), str(tmp_path / deed)))
        until(client, "progress")
        pid = client.pid
        assert pid is not None
        client.close(0.3)
        assert not is_running(pid)
        assert (client.pid, client.busy) == (None, False)


def test_submitting_thousands_of_paths_does_not_wait_for_the_reader(client: BackendClient, tmp_path: Path) -> None:
    """The pipe holds 64 kB; the backend reads nothing while it holds the first job."""
    client.submit(Job(("hold",), str(tmp_path / "a"), id="a"))
    until(client, "progress")
    pictures = tuple(f"/somewhere/on/a/very/long/path/picture.{n:05d}.png" for n in range(20000))
    client.submit(Job(pictures, str(tmp_path / "b"), id="b"))
    client.cancel("a")  # reached at all, a blocking write would hang above
    assert client.busy
