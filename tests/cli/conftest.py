"""The command line as another program sees it: a process with pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Command:
    """``python -m vggt_blender ARGUMENTS``, under way, with all three pipes."""

    def __init__(self, programs: Any, *arguments: str, beside: Path | None) -> None:
        path = os.pathsep.join([str(ROOT), *([str(beside)] if beside else [])])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}
        command = [sys.executable, "-m", "vggt_blender", *arguments]
        self.process: subprocess.Popen[str] = programs.start(command, stderr=subprocess.PIPE, env=environment)
        self.pid = self.process.pid
        self._programs = programs

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
        (worker,) = self._programs.children(self.pid)
        return worker

    def finish(self) -> tuple[int, str, str]:
        """Status, rest of the output, rest of the errors."""
        output, errors = self.process.communicate()
        return self.process.returncode, output, errors


class Shell:
    """Starts commands."""

    def __init__(self, programs: Any) -> None:
        self._programs = programs
        self.wait_until, self.wait_until_gone = programs.wait_until, programs.wait_until_gone

    def start(self, *arguments: str | Path, beside: Path | None = None) -> Command:
        """`beside` is one more folder that its Python imports from."""
        return Command(self._programs, *(str(argument) for argument in arguments), beside=beside)

    def run(self, *arguments: str | Path, beside: Path | None = None) -> tuple[int, str, str]:
        return self.start(*arguments, beside=beside).finish()


@pytest.fixture
def shell(programs: Any) -> Shell:
    return Shell(programs)


@pytest.fixture
def silent_video(tmp_path: Path) -> Path:
    """A video that never answers, like one on a drive that went away: a pipe without a writer."""
    path = tmp_path / "away.mp4"
    os.mkfifo(path)
    return path
