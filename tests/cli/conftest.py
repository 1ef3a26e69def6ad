"""The command line as another program sees it: a process with pipes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


class Command:
    """``python -m vggt_blender ARGUMENTS``, under way, with all three pipes."""

    def __init__(self, *arguments: str, beside: Path | None) -> None:
        path = os.pathsep.join([str(ROOT), *([str(beside)] if beside else [])])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vggt_blender", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self.pid = self.process.pid

    def tell(self, **request: Any) -> None:
        """One line of its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def message(self, **wanted: Any) -> dict[str, Any]:
        """The next message whose entries are `wanted`; every line on the way must be a message too."""
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(json.loads(line))
            if all(seen[-1].get(key) == value for key, value in wanted.items()):
                return seen[-1]
        raise AssertionError(f"the output ended without {wanted}: {seen[-3:]}")

    def worker(self) -> int:
        """The process id of its worker."""
        (worker,) = children(self.pid)
        return worker

    def finish(self) -> tuple[int, str, str]:
        """Status, rest of the output, rest of the errors."""
        output, errors = self.process.communicate(timeout=120)
        return self.process.returncode, output, errors


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def is_alive(pid: int) -> bool:
    """Whether `pid` runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Shell:
    """Starts commands, and ends what is left of them with the test."""

    def __init__(self) -> None:
        self._commands: list[Command] = []

    def start(self, *arguments: str | Path, beside: Path | None = None) -> Command:
        """`beside` is one more folder that its Python imports from."""
        self._commands.append(Command(*(str(argument) for argument in arguments), beside=beside))
        return self._commands[-1]

    def run(self, *arguments: str | Path, beside: Path | None = None) -> tuple[int, str, str]:
        return self.start(*arguments, beside=beside).finish()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> float:
        """Seconds until `condition()` is true; an assertion where it does not come true."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < timeout_s, "it never came true"
            time.sleep(0.01)
        return time.monotonic() - began

    def wait_until_gone(self, *pids: int) -> float:
        return self.wait_until(lambda: not any(is_alive(pid) for pid in pids))

    def close(self) -> None:
        for command in self._commands:
            for pid in [*children(command.pid), command.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            command.process.communicate()


@pytest.fixture
def shell() -> Iterator[Shell]:
    made = Shell()
    yield made
    made.close()


@pytest.fixture
def many_pictures(tmp_path: Path) -> Path:
    """A folder that takes a good while to look through: one large picture under many names."""
    return repeated(tmp_path / "many", 5000)


@pytest.fixture
def slow_pictures(tmp_path: Path) -> Path:
    """A folder that is looked through quickly, but not for features."""
    return repeated(tmp_path / "slow", 60)


def repeated(folder: Path, count: int) -> Path:
    folder.mkdir()
    noise = np.random.default_rng(1).integers(0, 255, (1500, 2000, 3), np.uint8)
    Image.fromarray(noise).save(folder / "0.jpg")
    for number in range(1, count):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    return folder


@pytest.fixture
def silent_video(tmp_path: Path) -> Path:
    """A video that never answers, like one on a drive that went away: a pipe without a writer."""
    path = tmp_path / "away.mp4"
    os.mkfifo(path)
    return path
