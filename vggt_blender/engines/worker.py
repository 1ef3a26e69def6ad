"""The process that does the work: jobs in on standard input, messages out, one job at a time.

Its supervisor talks to it in JSON lines: ``{"type": "job", ...Job}``, ``{"type": "export", ...Export}``,
``{"type": "cancel", "job": id}`` and ``{"type": "unload"}``. The end of its input ends it; a job that still runs then
is given a second to stop by itself, since its supervisor is gone. Whatever libraries print goes to standard error,
messages alone to standard output.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from ..exchange import messages
from ..exchange.export import Export
from ..exchange.messages import JobError, Message, Reporter
from ..exchange.reporter import JobReporter
from ..exchange.requests import Request, read_request
from ..exchange.staging import absent_folders, discard_of, remove_empty, staging_owner
from ..exchange.standard_input import take_standard_input

ORPHAN_GRACE_S = 1.0


class _Inbox:
    """Standard input, read by a thread so that a cancellation arrives while a job runs."""

    def __init__(self) -> None:
        self.requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.ended = threading.Event()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._read, args=(take_standard_input(),), name="inbox", daemon=True).start()

    def is_cancelled(self, job: str) -> bool:
        return job in self._cancelled or self.ended.is_set()

    def _read(self, lines: BinaryIO) -> None:
        for line in lines:
            request = json.loads(line)
            if request["type"] == "cancel":
                self._cancelled.add(request["job"])
            else:
                self._cancelled.discard(request.get("id"))  # meant for an earlier job of this id
                self.requests.put(request)
        self.ended.set()
        self.requests.put(None)


def main() -> None:
    """Serve until standard input ends."""
    channel = os.dup(1)
    os.dup2(2, 1)
    os.write(channel, b"\n")  # ends whatever was printed before
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what an interruption means

    def send(message: Message) -> None:
        try:
            os.write(channel, messages.encode(message).encode("ascii"))
        except OSError:  # the supervisor is gone; the end of the input says so too
            inbox.ended.set()

    inbox = _Inbox()
    while (request := inbox.requests.get()) is not None:
        if request["type"] == "unload":
            from .run import unload_models

            unload_models()
        else:
            send(_run(read_request(request), inbox, send))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # results are on disk; some libraries take seconds to come apart


def run_request(request: Request, report: Reporter) -> Path:
    """Do what is asked for and return what it made: a reconstruction's folder, or an export. Raises `JobError`."""
    if isinstance(request, Export):
        from ..delivery.run import run_export

        return run_export(request, report)
    from .run import run_job

    return run_job(request, report)


def _run(job: Request, inbox: _Inbox, send: Any) -> Message:
    """The job's last message; of one that failed nothing is left."""
    finished = threading.Event()
    made = absent_folders(Path(job.output))
    threading.Thread(target=_end_as_orphan, args=(job, made, inbox, finished), name="orphan", daemon=True).start()
    try:
        last = _outcome(job, JobReporter(job.id, send, lambda: inbox.is_cancelled(job.id)))
    finally:
        finished.set()
    if last["type"] == "error":  # Windows deletes no mapped file, and what failed held its arrays until now
        gc.collect()
        discard_of(staging_owner(), job.staged_in)
        remove_empty(made)
    return last


def _outcome(job: Request, report: Reporter) -> Message:
    try:
        return messages.done(job.id, str(run_request(job, report)))
    except JobError as failure:
        return messages.error(job.id, failure)
    except ImportError as failure:
        text = f"This Python lacks '{failure.name}': install the backend's requirements."
        return messages.error(job.id, JobError("missing_library", text, str(failure)))


def _end_as_orphan(job: Request, made: list[Path], inbox: _Inbox, finished: threading.Event) -> None:
    inbox.ended.wait()
    if finished.wait(ORPHAN_GRACE_S):
        return
    discard_of(staging_owner(), job.staged_in)
    remove_empty(made)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(130)
