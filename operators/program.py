"""A program beside Blender that prints messages as a job does: followed without waiting, cancelled by ending it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..vggt_blender.backend.process import BackendProcess
from ..vggt_blender.exchange import messages
from ..vggt_blender.exchange.messages import CANCELLED
from .locations import ROOT, look_again
from .session import session
from .task import Notice

END_WITH_BLENDER = "--end-with-input"


class Program:
    """At most one run. ``stage`` is its last news, ``done`` of ``total`` how far that is; 0 where unknown.

    ``failure`` is why the last run failed, or None.
    """

    title = ""

    def __init__(self) -> None:
        self.stage = ""
        self.done = self.total = 0
        self.cancelling = False
        self.failure: Notice | None = None
        self._process: BackendProcess | None = None
        self._last: messages.Message | None = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def run(self, interpreter: Path, arguments: Sequence[str]) -> None:
        """Start `interpreter` with `arguments`. Raises `JobError` where that does not work."""
        assert self._process is None
        session.forget_setup()
        self.stage, self.done, self.total, self.cancelling = "Starting", 0, 0, False
        self._last = self.failure = None
        self._process = BackendProcess(interpreter, ROOT, [*arguments, END_WITH_BLENDER])
        session.note(f"{self.title}: started")

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
        """For scripts: until it has ended; ``failure`` says whether it worked."""
        try:
            while self._process is not None:
                self.step(0.1)
        except KeyboardInterrupt:
            self.cancel()
            raise

    def succeeded(self, path: Path) -> None:
        """It is done, and `path` is what it made; for those that have something to do then."""

    def _take(self, message: messages.Message | None) -> None:
        if message is None:
            return
        if message["type"] in messages.FINAL_TYPES:
            self._last = message
        elif message["type"] == "progress":
            self.stage, self.done, self.total = str(message["stage"]), int(message["done"]), int(message["total"])
        else:
            self.stage, self.done, self.total = str(message["message"]), 0, 0
            session.note(f"{self.title}: {self.stage}")

    def _end(self, process: BackendProcess) -> None:
        process.kill()  # what it started may still run
        self._process = None
        look_again()
        last = self._last
        if last is not None and last["type"] == "done":
            session.note(f"{self.title}: done")
            self.succeeded(Path(last["path"]))
        elif self.cancelling or (last is not None and last["code"] == CANCELLED):
            session.tell(Notice("Cancelled.", about_setup=True, title=self.title))
        else:
            self._fail(process, last)

    def _fail(self, process: BackendProcess, last: messages.Message | None) -> None:
        if last is not None:
            text, detail = last["message"], last["detail"]
        else:
            text, detail = f"It stopped unexpectedly (exit status {process.exit_status}). Try again.", process.errors
        self.failure = Notice(text, detail, failed=True, about_setup=True, title=self.title)
        session.tell(self.failure)
