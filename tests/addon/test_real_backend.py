"""The client with the backend that it has in Blender: `serve`, its worker and a job that takes a while."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vggt_blender.backend.client import BackendClient
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.messages import FINAL_TYPES, Message

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0


@pytest.fixture
def client() -> Iterator[BackendClient]:
    client = BackendClient(Path(sys.executable), ROOT)
    yield client
    client.close(2.0)


@pytest.fixture
def long_job(many_pictures: Path, tmp_path: Path) -> Job:
    return Job((str(many_pictures),), str(tmp_path / "out"), id="long", engine="colmap")


def follow(client: BackendClient, done: Callable[[Message], bool]) -> Message:
    deadline = time.monotonic() + PATIENCE_S
    seen: list[Message] = []
    while time.monotonic() < deadline:
        for message in client.messages(0.004, wait_s=0.02):
            seen.append(message)
            if done(message):
                return message
    raise AssertionError(seen[-3:])


def test_an_error_of_the_real_backend_is_one_line(client: BackendClient, tmp_path: Path) -> None:
    client.submit(Job((str(tmp_path / "nothing here"),), str(tmp_path / "out")))
    error = follow(client, lambda message: message["type"] in FINAL_TYPES)
    assert error["type"] == "error"
    assert "nothing here" in error["message"]
    assert "\n" not in error["message"]


def test_cancel_returns_before_the_job_stops(client: BackendClient, long_job: Job) -> None:
    client.submit(long_job)
    follow(client, lambda message: message["type"] == "progress")
    pid = client.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it cannot answer
    cancel = threading.Thread(target=client.cancel, args=["long"], daemon=True)
    cancel.start()
    cancel.join(PATIENCE_S)
    waiting = cancel.is_alive() or (client.pid, client.busy) != (pid, True)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    assert not waiting, "cancel waits for the end"
    assert follow(client, lambda message: message["type"] in FINAL_TYPES)["code"] == "cancelled"
    assert not Path(long_job.output).exists()


def test_killed_in_the_middle_it_leaves_no_process_and_the_next_job_works(
    client: BackendClient, long_job: Job, programs: Any, tmp_path: Path
) -> None:
    client.submit(long_job)
    follow(client, lambda message: message["type"] == "progress")
    pid = client.pid
    assert pid is not None
    left = programs.children(pid)
    assert left
    os.kill(pid, signal.SIGKILL)
    assert follow(client, lambda message: message["type"] in FINAL_TYPES)["code"] == "backend_died"
    programs.wait_until_gone(*left)
    client.submit(Job((str(tmp_path / "nothing here"),), str(tmp_path / "other"), id="next"))
    assert follow(client, lambda message: message["type"] in FINAL_TYPES)["job"] == "next"


def test_closing_in_the_middle_of_a_job_leaves_nothing(long_job: Job, programs: Any) -> None:
    client = BackendClient(Path(sys.executable), ROOT)
    client.submit(long_job)
    follow(client, lambda message: message["type"] == "progress")
    assert client.pid is not None
    everyone = programs.family(client.pid)
    client.close(2.0)
    programs.wait_until_gone(*everyone)
    assert not Path(long_job.output).exists()
