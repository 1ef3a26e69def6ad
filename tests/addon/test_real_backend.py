"""The client with the backend that it has in Blender: `serve`, its worker and a job that takes a while."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vggt_blender.backend.client import BackendClient
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.messages import FINAL_TYPES, Message

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


@pytest.fixture
def client() -> Iterator[BackendClient]:
    client = BackendClient(Path(sys.executable), ROOT)
    yield client
    client.close(2.0)


@pytest.fixture
def long_job(tmp_path: Path) -> Job:
    """One large picture under thousands of names."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(1).integers(0, 255, (1500, 2000, 3), np.uint8)
    image.fromarray(noise).save(folder / "0.jpg")
    for number in range(1, 3000):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    return Job((str(folder),), str(tmp_path / "out"), id="long", engine="colmap")


def follow(client: BackendClient, done: Callable[[Message], bool]) -> Message:
    deadline = time.monotonic() + PATIENCE_S
    seen: list[Message] = []
    while time.monotonic() < deadline:
        for message in client.messages(0.004, wait_s=0.02):
            seen.append(message)
            if done(message):
                return message
    raise AssertionError(seen[-3:])


def workers(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a process stays"
        time.sleep(0.01)


def test_an_error_of_the_real_backend_is_one_line(client: BackendClient, tmp_path: Path) -> None:
    client.submit(Job((str(tmp_path / "nothing here"),), str(tmp_path / "out")))
    error = follow(client, lambda message: message["type"] in FINAL_TYPES)
    assert error["type"] == "error"
    assert "nothing here" in error["message"]
    assert "\n" not in error["message"]


def test_cancel_returns_before_the_job_stops(client: BackendClient, long_job: Job) -> None:
    client.submit(long_job)
    follow(client, lambda message: message["type"] == "progress")
    began = time.monotonic()
    client.cancel("long")
    told_s = time.monotonic() - began
    assert follow(client, lambda message: message["type"] in FINAL_TYPES)["code"] == "cancelled"
    assert told_s < (time.monotonic() - began) / 2, "cancel waits for the end"
    assert not Path(long_job.output).exists()


def test_killed_in_the_middle_it_leaves_no_process_and_the_next_job_works(
    client: BackendClient, long_job: Job, tmp_path: Path
) -> None:
    client.submit(long_job)
    follow(client, lambda message: message["type"] == "progress")
    pid = client.pid
    assert pid is not None
    left = workers(pid)
    assert left
    os.kill(pid, signal.SIGKILL)
    assert follow(client, lambda message: message["type"] in FINAL_TYPES)["code"] == "backend_died"
    wait_until_gone(*left)
    client.submit(Job((str(tmp_path / "nothing here"),), str(tmp_path / "other"), id="next"))
    assert follow(client, lambda message: message["type"] in FINAL_TYPES)["job"] == "next"


def test_closing_in_the_middle_of_a_job_leaves_nothing(long_job: Job) -> None:
    client = BackendClient(Path(sys.executable), ROOT)
    client.submit(long_job)
    follow(client, lambda message: message["type"] == "progress")
    assert client.pid is not None
    everyone = [client.pid, *workers(client.pid)]
    client.close(2.0)
    wait_until_gone(*everyone)
    assert not Path(long_job.output).exists()
