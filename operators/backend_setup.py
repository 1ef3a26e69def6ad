"""The set-up program under way: it makes or removes the backend's environment, beside Blender and in its own time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import bpy

from ..vggt_blender.backend.process import BackendProcess
from ..vggt_blender.backend.setup import SIZES_GB
from ..vggt_blender.exchange import messages
from ..vggt_blender.exchange.messages import CANCELLED, JobError
from .check import check
from .locations import ROOT
from .session import Notice, session

MODULE = "vggt_blender.backend.setup"
OFFLINE = (
    "Blender may not use the network: allow it in Preferences > System > Network, or choose a folder of wheels in "
    "the add-on's preferences"
)


class BackendSetup:
    """At most one run of the set-up program. ``stage`` is its last news; how it ended is the session's notice."""

    def __init__(self) -> None:
        self.stage = ""
        self.cancelling = False
        self._process: BackendProcess | None = None
        self._ended: messages.Message | None = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self, arguments: Sequence[str]) -> None:
        """Run the program with Blender's own Python. Raises `JobError` where that does not start.

        The backend and what was known about it are let go: their environment is about to change.
        """
        assert self._process is None
        session.close_backend()
        check.close()
        session.notice = None
        self.stage, self.cancelling, self._ended = "Starting", False, None
        self._process = BackendProcess(own_python(), ROOT, ("-m", MODULE, *arguments, "--end-with-input"))

    def step(self, wait_s: float = 0.0) -> bool:
        """Take what it said. Returns whether there was anything."""
        if self._process is None:
            return False
        news = False
        while (line := self._process.next_line(0.0 if news else wait_s)) is not None:
            news = True
            self._take(messages.decode(line))
        if self._process.is_over():
            self._end(self._process)
            return True
        return news

    def cancel(self) -> None:
        """End it and what it started at once; the next try goes on from what is there."""
        if self._process is not None:
            self.cancelling = True
            self._process.kill()

    def close(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._process.kill()
        self._process = None

    def wait(self) -> None:
        """For scripts: until it has ended. Raises `JobError` where it failed."""
        try:
            while self._process is not None:
                self.step(0.1)
        except KeyboardInterrupt:
            self.cancel()
            raise
        if session.notice is not None and session.notice.failed:
            raise JobError("setup", session.notice.message, session.notice.detail)

    def _take(self, message: messages.Message | None) -> None:
        if message is None:
            return
        if message["type"] in messages.FINAL_TYPES:
            self._ended = message
        elif message["type"] in ("status", "warning"):
            self.stage = str(message["message"])

    def _end(self, process: BackendProcess) -> None:
        process.kill()  # what it started may still run
        self._process = None
        ended = self._ended
        if ended is not None and ended["type"] == "done":
            session.notice = None
        elif self.cancelling or (ended is not None and ended["code"] == CANCELLED):
            session.notice = Notice("Cancelled.", about_setup=True)
        elif ended is not None:
            session.notice = Notice(ended["message"], ended["detail"], failed=True, about_setup=True)
        else:
            text = f"The set-up stopped unexpectedly (exit status {process.exit_status}). Try again."
            session.notice = Notice(text, process.errors, failed=True, about_setup=True)


def own_python() -> Path:
    """Blender's Python as a program of its own. Raises `JobError` where there is none."""
    program = Path(sys.executable)
    if not sys.executable or not program.name.lower().startswith("python"):
        raise JobError("setup", "This Blender has no Python program to build on: choose an interpreter instead.")
    return program


def is_busy(operator: type[bpy.types.Operator]) -> bool:
    """For `poll`: whether the environment cannot change now, and why."""
    if setup.running or session.task is not None:
        operator.poll_message_set("The set-up is running" if setup.running else "A solve is running")
        return True
    return False


def size_text(with_vggt: bool) -> str:
    """What the set-up needs on disk, for people."""
    if not with_vggt:
        return f"about {SIZES_GB['colmap']} GB on disk"
    return f"about {SIZES_GB['cpu']} GB on disk, {SIZES_GB['cuda']:g} GB with an NVIDIA graphics card"


setup = BackendSetup()
