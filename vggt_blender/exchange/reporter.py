"""An engine's news as messages of one job.

This module may import the standard library only.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from . import messages
from .estimate import RemainingTime, Stage
from .messages import Cancelled, Message

PROGRESS_INTERVAL_S = 0.1


class JobReporter:
    """A `Reporter` that hands messages of `job` to `send`; each call raises `Cancelled` once `is_cancelled` says so.

    Progress within a stage is passed on at most ten times a second, its end always.
    """

    def __init__(self, job: str, send: Callable[[Message], None], is_cancelled: Callable[[], bool]) -> None:
        self._job = job
        self._send = send
        self._is_cancelled = is_cancelled
        self._stage = ""
        self._sent_at = 0.0
        self._remaining: RemainingTime | None = None

    def expect(self, plan: tuple[Stage, ...]) -> None:
        self._remaining = RemainingTime(plan)

    def progress(self, stage: str, done: int, total: int) -> None:
        self._check()
        now = time.monotonic()
        left = None if self._remaining is None else self._remaining.update(stage, done, total, now)
        if stage == self._stage and done < total and now - self._sent_at < PROGRESS_INTERVAL_S:
            return
        self._stage, self._sent_at = stage, now
        self._send(messages.progress(self._job, stage, done, total, left))

    def status(self, message: str) -> None:
        self._check()
        self._send(messages.status(self._job, message))

    def warning(self, message: str) -> None:
        self._check()
        self._send(messages.warning(self._job, message))

    def _check(self) -> None:
        if self._is_cancelled():
            raise Cancelled


class Silence:
    """A `Reporter` for those who want no news."""

    def progress(self, stage: str, done: int, total: int) -> None:
        pass

    def status(self, message: str) -> None:
        pass

    def warning(self, message: str) -> None:
        pass


SILENCE = Silence()
