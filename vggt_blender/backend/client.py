"""Jobs for a running backend, and its messages back, without ever blocking the caller.

This module may import the standard library and exchange only. It knows no bpy: Blender's side calls `messages` from a
timer, a script may call it in a loop. Every job that was submitted ends in exactly one ``done`` or ``error`` message,
also where the process dies or does not react.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ..exchange import messages
from ..exchange.messages import JobError, Message
from ..exchange.requests import Request, request_line, taken
from .environment import NO_BACKEND
from .process import BackendProcess

SERVE = ("-m", "vggt_blender", "serve")
# A backend that has not ended a cancelled job by then is ended itself.
CANCEL_GRACE_S = 5.0


class BackendClient:
    """The backend process behind `interpreter`, started by the first job and kept for the next ones.

    `root` is the folder that holds the package ``vggt_blender``; `arguments` are what the interpreter runs.
    """

    def __init__(self, interpreter: Path, root: Path, arguments: tuple[str, ...] = SERVE) -> None:
        self.interpreter = interpreter
        self._root = root
        self._arguments = arguments
        self._process: BackendProcess | None = None
        self._spoke = False
        self._open: dict[str, float | None] = {}  # job id -> when its cancellation is overdue

    @property
    def pid(self) -> int | None:
        """The process's id, or None where none runs."""
        return self._process.pid if self._process is not None and self._process.exit_status is None else None

    @property
    def busy(self) -> bool:
        """Whether a submitted job has not ended yet."""
        return bool(self._open)

    def submit(self, job: Request) -> None:
        """Queue `job`, starting the backend where it does not run. Raises `JobError` where it cannot start, or where a
        job of its id is open."""
        if job.id in self._open:
            raise taken(job.id)
        if self._process is None or self._process.exit_status is not None:
            self._process = BackendProcess(self.interpreter, self._root, self._arguments)
            self._spoke = False
        self._open[job.id] = None
        self._send(request_line(job))

    def cancel(self, job_id: str) -> None:
        """Ask the backend to stop the job; its ``error`` message with code ``cancelled`` says when it has."""
        if self._open.get(job_id, 0.0) is None:
            self._open[job_id] = time.monotonic() + CANCEL_GRACE_S
            self._send({"type": "cancel", "job": job_id})

    def messages(self, budget_s: float, wait_s: float = 0.0) -> Iterator[Message]:
        """What came in, until nothing is left or `budget_s` has passed, the caller's own work on each included.

        `wait_s` is how long to wait for the first one; leave it 0 on Blender's main thread.
        """
        if self._process is None:
            return
        deadline = time.perf_counter() + budget_s
        line = self._process.next_line(wait_s)
        while line is not None:
            message = messages.decode(line)
            if message is not None:
                self._spoke = True
                if self._is_wanted(message):
                    yield message
            if time.perf_counter() >= deadline:
                return
            line = self._process.next_line()
        if self._process.is_over():
            yield from self._bury()
        elif any(overdue is not None and time.monotonic() > overdue for overdue in self._open.values()):
            self._process.kill()  # the jobs end with the process, on one of the next calls

    def close(self, grace_s: float = 2.0) -> None:
        """End the backend; waits `grace_s` + 1 s at the longest. Jobs under way end without a message.

        Two seconds are what a backend has to stop and clear away what it was writing.
        """
        if self._process is not None:
            for job_id in self._open:
                self.cancel(job_id)
            self._process.close(grace_s)
        self._process = None
        self._open.clear()

    def close_aside(self) -> None:
        """`close` on a thread of its own, for a caller that must not wait."""
        process, self._process = self._process, None
        self._open.clear()
        if process is not None:
            threading.Thread(target=process.close, name="vggt-backend-close").start()

    def _send(self, message: Message) -> None:
        assert self._process is not None
        self._process.send(json.dumps(message, ensure_ascii=True, separators=(",", ":")) + "\n")

    def _is_wanted(self, message: Message) -> bool:
        job_id = message["job"]
        if message["type"] in messages.FINAL_TYPES:
            return self._open.pop(job_id, self) is not self
        return job_id in self._open

    def _bury(self) -> Iterator[Message]:
        process, self._process = self._process, None
        assert process is not None
        process.kill()  # what it started may still run
        unfinished, self._open = self._open, {}
        for job_id, overdue in unfinished.items():
            yield messages.error(job_id, messages.Cancelled() if overdue is not None else self._death(process))

    def _death(self, process: BackendProcess) -> JobError:
        status, detail = process.exit_status or 0, process.errors
        if not self._spoke and status > 0:
            last = detail.strip().rpartition("\n")[2] or f"exit status {status}"
            return JobError(NO_BACKEND, f"The backend cannot start ({last}). Check it in the preferences.", detail)
        if sys.platform != "win32" and status == -signal.SIGKILL:
            reason = "was killed: often the memory ran out. Try fewer or smaller frames"
        else:
            reason = f"stopped unexpectedly (exit status {status}). Solve again; the details say more"
        return JobError("backend_died", f"The backend {reason}.", detail)
