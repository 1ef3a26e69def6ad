"""Jobs in this very Python, on a thread of their own: for a Blender whose Python has the backend's libraries.

This module may import the standard library and exchange, and the command line's module inside a function. The thread
never touches bpy. `LocalClient` is used as `BackendClient` is and gives the same messages.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - see submit
import queue
import threading
import time
import traceback
from collections.abc import Iterator
from importlib.util import find_spec

from ..exchange import messages
from ..exchange.messages import FINAL_TYPES, Cancelled, JobError, Message
from ..exchange.reporter import JobReporter
from ..exchange.requests import Request, taken

LIBRARIES = {"numpy": "numpy", "PIL": "pillow", "av": "av", "cv2": "opencv-python-headless"}
ENGINE_LIBRARIES = ("pycolmap", "torch")


def obstacle() -> str | None:
    """Why jobs cannot run in this Python, as one line, or None where they can."""
    missing = [package for module, package in LIBRARIES.items() if find_spec(module) is None]
    if not any(find_spec(module) for module in ENGINE_LIBRARIES):
        missing.append(" or ".join(ENGINE_LIBRARIES))
    return f"Blender's own Python has no {', '.join(missing)}: run the backend as a process." if missing else None


class LocalClient:
    """One thread that works through the jobs that it is given; it begins with the first and ends with `close`."""

    interpreter = None
    pid = None

    def __init__(self) -> None:
        self._news: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[tuple[Request, threading.Event] | None] = queue.SimpleQueue()
        self._open: dict[str, threading.Event] = {}  # job id -> set once it is cancelled
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a submitted job has not ended yet."""
        return bool(self._open)

    def submit(self, job: Request) -> None:
        """Queue `job`. Raises `JobError` where this Python lacks what it takes, or where a job of its id is open."""
        if job.id in self._open:
            raise taken(job.id)
        problem = obstacle()
        if problem is not None:
            raise JobError("no_backend", problem)
        if self._thread is None:
            # At exit Python has thread pools finish their work before it calls what atexit has; what is registered
            # here comes before that, where the pools' module is loaded already.
            threading._register_atexit(self.close)  # type: ignore[attr-defined]
            self._thread = threading.Thread(target=self._work, name="vggt-local", daemon=True)
            self._thread.start()
        self._open[job.id] = threading.Event()
        self._jobs.put((job, self._open[job.id]))

    def cancel(self, job_id: str) -> None:
        """Ask the job to stop, which it does between two steps of its work."""
        if job_id in self._open:
            self._open[job_id].set()

    def messages(self, budget_s: float, wait_s: float = 0.0) -> Iterator[Message]:
        """What came in, until nothing is left or `budget_s` has passed, the caller's own work on each included."""
        deadline = time.perf_counter() + budget_s
        while True:
            try:
                message = self._news.get(block=wait_s > 0, timeout=wait_s or None)
            except queue.Empty:
                return
            wait_s = 0.0
            if message["job"] in self._open:
                if message["type"] in FINAL_TYPES:
                    del self._open[message["job"]]
                yield message
            if time.perf_counter() >= deadline:
                return

    def close(self, grace_s: float = 2.0) -> None:
        """Cancel what runs, free the models and end the thread; waits `grace_s` at the longest."""
        thread = self._thread
        self.close_aside()
        if thread is not None:
            thread.join(grace_s)

    def close_aside(self) -> None:
        """`close`, without waiting for it."""
        for cancelled in self._open.values():
            cancelled.set()
        self._open.clear()
        self._jobs.put(None)
        self._thread = None

    def _work(self) -> None:
        from .. import cli

        while (queued := self._jobs.get()) is not None:
            self._news.put(self._run(*queued))
        cli.unload_here()

    def _run(self, job: Request, cancelled: threading.Event) -> Message:
        """The job's last message."""
        from .. import cli

        try:
            if cancelled.is_set():
                raise Cancelled
            reporter = JobReporter(job.id, self._news.put, cancelled.is_set)
            return messages.done(job.id, str(cli.run_here(job, reporter)))
        except JobError as failure:
            return messages.error(job.id, failure)
        except Exception as failure:  # a library that does not load
            reason = f"The solve cannot run in Blender's own Python ({type(failure).__name__}: {failure})."
            return messages.error(job.id, JobError("missing_library", reason, traceback.format_exc()))
