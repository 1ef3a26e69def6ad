"""Runs jobs in a worker process that can be killed at any moment without losing anything.

This module may import the standard library and exchange only, so that it answers at once: the worker is the one with
the heavy libraries. Every job that was submitted ends in exactly one ``done`` or ``error`` message.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..exchange import messages
from ..exchange.messages import Cancelled, JobError, Message
from ..exchange.requests import Request, request_line, taken
from ..exchange.staging import OWNER, absent_folders, discard_of, is_nearly_full, new_owner, remove_empty, written_at
from .process import BackendProcess

ROOT = Path(__file__).parents[2]
WORKER = ("-m", "vggt_blender", "worker")
GRACE_S = 1.0  # what a cancelled job gets to stop by itself
TICK_S = 0.05
DETAIL_LINES = 120


@dataclass
class _Running:
    job: Request
    made: list[Path]  # folders that the job is about to create
    earlier: float | None  # when the result that its folder held already was written
    overdue_at: float | None = None  # set once it is cancelled


class Supervisor:
    """A queue of jobs and the one worker that does them, kept between jobs and replaced where it dies.

    `deliver` gets every message; lines that the worker logs go to `log`. `request` may be called from any thread or
    signal handler; everything else happens in `run`.
    """

    def __init__(self, deliver: Callable[[Message], None], log: Callable[[str], None] | None = None) -> None:
        self._deliver = deliver
        self._log = log
        self._requests: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._waiting: deque[Request] = deque()
        self._running: _Running | None = None
        self._worker: BackendProcess | None = None
        self._owner = ""  # of what the worker stages: its own process id is not that of the launcher (Windows)
        self._ending = False
        self._stopped = False

    def request(self, action: Callable[[], None]) -> None:
        """Have `run` call `action` (one of the methods below) on its own thread."""
        self._requests.put(action)

    def submit(self, job: Request) -> None:
        """Queue a job; one whose id another has is refused."""
        if job.id in self._open():
            self.refuse(job.id, taken(job.id))
        else:
            self._waiting.append(job)

    def free_id(self, wanted: str) -> str:
        """`wanted`, or with a number behind it while a job of that id has not ended."""
        numbered = (f"{wanted}-{number}" for number in itertools.count(2))
        return next(name for name in itertools.chain([wanted], numbered) if name not in self._open())

    def refuse(self, job_id: str, failure: JobError) -> None:
        """Answer a request that makes no job; without its id where a job has that, which this does not end."""
        self._deliver(messages.error("" if job_id in self._open() else job_id, failure))

    def cancel(self, job_id: str | None = None) -> None:
        """Stop the job, or every job where none is named. A second time is not patient."""
        for job in [job for job in self._waiting if job_id in (None, job.id)]:
            self._waiting.remove(job)
            self._deliver(messages.error(job.id, Cancelled()))
        if self._running is None or job_id not in (None, self._running.job.id):
            return
        if self._running.overdue_at is None:
            self._running.overdue_at = time.monotonic() + GRACE_S
            self._tell({"type": "cancel", "job": self._running.job.id})
        else:
            self._running.overdue_at = time.monotonic()

    def unload(self) -> None:
        """Free the models in memory."""
        self._tell({"type": "unload"})

    def end(self) -> None:
        """Leave `run` once the queue is empty."""
        self._ending = True

    def stop(self) -> None:
        """Cancel everything and leave `run`."""
        self._stopped = self._ending = True
        self.cancel()

    def run(self) -> bool:
        """Work until `end` and an empty queue. Returns False where it was stopped. No process is left behind."""
        try:
            while True:
                self._serve_requests()
                if self._running is None and self._waiting:
                    self._start(self._waiting.popleft())
                if self._running is not None:
                    self._follow()
                elif self._ending and self._requests.empty():
                    return not self._stopped
        finally:
            self._end_worker()

    def _open(self) -> set[str]:
        """Ids of the jobs that have not ended."""
        return {job.id for job in self._waiting} | ({self._running.job.id} if self._running else set())

    def _serve_requests(self) -> None:
        idle = self._running is None and not self._waiting and not self._ending
        try:
            action = self._requests.get(timeout=TICK_S) if idle else self._requests.get_nowait()
            while True:
                action()
                action = self._requests.get_nowait()
        except queue.Empty:
            return

    def _start(self, job: Request) -> None:
        output = Path(job.output)
        self._running = _Running(job, absent_folders(output), written_at(output))
        if self._worker is None or self._worker.exit_status is not None:
            inherited = os.environ.get("PYTHONPATH")
            path = os.pathsep.join([str(ROOT), *([inherited] if inherited else [])])
            self._owner = new_owner()
            environment = {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", OWNER: self._owner}
            try:
                self._worker = BackendProcess(
                    Path(sys.executable), ROOT, WORKER, environment=environment, on_error=self._log
                )
            except JobError as failure:
                self._finish(messages.error(job.id, failure))
                return
        self._tell(request_line(job))

    def _follow(self) -> None:
        """Pass on what the worker says; end a job whose worker is gone or does not stop."""
        running, worker = self._running, self._worker
        assert running is not None
        assert worker is not None
        line = worker.next_line(TICK_S)
        message = None if line is None else messages.decode(line)
        if message is not None:
            if message["type"] in messages.FINAL_TYPES:
                self._finish(message)
                return
            self._deliver(message)
        if running.overdue_at is not None and time.monotonic() >= running.overdue_at:
            self._bury(Cancelled())
        elif line is None and worker.is_over():
            self._bury(Cancelled() if running.overdue_at is not None else self._cause_of_death(worker))

    def _bury(self, failure: JobError) -> None:
        """End the worker and what it started, and clear away what it left."""
        running, worker = self._running, self._worker
        assert running is not None
        assert worker is not None
        worker.kill()
        worker.close(grace_s=0.5)
        self._worker = None
        discard_of(self._owner, running.job.staged_in)
        remove_empty(running.made)
        self._finish(messages.error(running.job.id, failure))

    def _finish(self, message: Message) -> None:
        assert self._running is not None
        output, earlier = Path(self._running.job.output), self._running.earlier
        if message["type"] == "error" and written_at(output) not in (None, earlier):
            stays = f"What was solved before that stays in '{output}'."
            message = {**message, "detail": "\n".join(filter(None, (message["detail"], stays)))}
        self._running = None
        self._deliver(message)

    def _tell(self, request: dict[str, Any]) -> None:
        if self._worker is not None:
            self._worker.send(json.dumps(request) + "\n")

    def _end_worker(self) -> None:
        if self._worker is None:
            return
        if self._running is not None:  # something went wrong here: leave nothing behind all the same
            self._worker.kill()
        self._worker.close(grace_s=1.0)
        if self._running is not None:
            discard_of(self._owner, self._running.job.staged_in)
            remove_empty(self._running.made)
        self._worker = None

    def _cause_of_death(self, worker: BackendProcess) -> JobError:
        assert self._running is not None
        detail = "".join(worker.errors.splitlines(keepends=True)[-DETAIL_LINES:])
        status = worker.exit_status or 0
        output = Path(self._running.job.output)
        if is_nearly_full(output):
            return JobError("disk_full", f"The disk of '{output}' is full: free some space and solve again.", detail)
        if sys.platform != "win32" and status == -signal.SIGKILL:
            reason = "was killed, most likely for lack of memory: use fewer frames or smaller pictures"
        elif status < 0:
            reason = f"crashed ({signal.Signals(-status).name}): try the other engine, or fewer frames"
        elif missing := re.search(r"'worker' needs (\S+), which this Python does not have", detail):
            text = f"The backend's Python has no '{missing[1]}': set the backend up again, or choose another Python."
            return JobError("missing_library", text, detail)
        else:
            reason = f"ended unexpectedly (exit status {status}): see the details"
        return JobError("crashed", f"The process that does the work {reason}.", detail)
