"""Jobs as JSON lines on standard input, messages as JSON lines on standard output, until the input ends.

This module may import the standard library and exchange only. The lines are described in docs/protocol.md.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import select
import signal
import sys
import threading
from typing import Any, BinaryIO

from ..exchange import messages
from ..exchange.documents import parse_json
from ..exchange.job import Job
from ..exchange.messages import JobError, Message
from ..exchange.paths import exists, user_path
from ..exchange.requests import KINDS, Request, read_request
from ..exchange.standard_input import take_standard_input
from .supervisor import Supervisor


def print_message(message: Message) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(messages.encode(message))
    sys.stdout.flush()


def print_log(line: str) -> None:
    """A line that the worker logged, on standard error."""
    sys.stderr.write(line)
    sys.stderr.flush()


def stop_on_signals(supervisor: Supervisor) -> None:
    """Ctrl-C, SIGTERM and a closed terminal stop every job."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: supervisor.request(supervisor.stop))


def serve() -> bool:
    """Work until standard input ends and its jobs are done. Returns False where a signal stopped it."""
    supervisor = Supervisor(print_message, print_log)
    stop_on_signals(supervisor)
    listen(supervisor)
    return supervisor.run()


def listen(supervisor: Supervisor, *, only_cancel: bool = False) -> None:
    """Obey the lines of standard input from a thread. With `only_cancel` its end means nothing, nor do jobs on it."""
    lines = take_standard_input()
    threading.Thread(target=_read, args=(lines, supervisor, only_cancel), name="requests", daemon=True).start()
    threading.Thread(target=_stop_without_reader, args=(supervisor,), name="reader-gone", daemon=True).start()


def absolute(request: Request) -> Request:
    """The same request with paths that do not depend on the current folder."""
    if not isinstance(request, Job):
        return dataclasses.replace(request, folder=_absolute(request.folder), output=_absolute(request.output))
    job = request
    model = job.model if job.model is None or not exists(user_path(job.model)) else _absolute(job.model)
    return dataclasses.replace(
        job,
        inputs=tuple(_absolute(path) for path in job.inputs),
        output=_absolute(job.output),
        mask=None if job.mask is None else _absolute(job.mask),
        model=model,
    )


def _absolute(path: str) -> str:
    return str(user_path(path).absolute())


def _read(lines: BinaryIO, supervisor: Supervisor, only_cancel: bool) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in lines:
            if line.strip():
                supervisor.request(functools.partial(_obey, line, supervisor, only_cancel))
    if not only_cancel:
        supervisor.request(supervisor.end)


def _obey(line: bytes, supervisor: Supervisor, only_cancel: bool) -> None:
    try:
        request: Any = parse_json(line)
    except ValueError:
        request = None
    kind = str(request.get("type")) if isinstance(request, dict) else None
    named = request.get("job", request.get("id")) if isinstance(request, dict) else None
    if kind == "cancel" and (named is None or isinstance(named, str)):
        supervisor.cancel(named)
    elif kind == "cancel":
        supervisor.refuse("", JobError("usage", f"A cancel's 'job' is an id, and absent for all jobs; not {named!r}."))
    elif only_cancel:
        return
    elif kind == "unload":
        supervisor.unload()
    elif kind in KINDS:
        try:
            job = absolute(read_request(request))
            supervisor.submit(job if "id" in request else dataclasses.replace(job, id=supervisor.free_id(job.id)))
        except JobError as failure:
            supervisor.refuse(named if isinstance(named, str) else "", failure)
        except OSError as failure:  # the current folder is gone
            reason = f"Its paths cannot be used ({failure.strerror}): give absolute ones."
            supervisor.refuse(named if isinstance(named, str) else "", JobError("usage", reason))
    else:
        supervisor.refuse(
            named if isinstance(named, str) else "",
            JobError("usage", "A line of input must be a JSON object of type 'job', 'export', 'cancel' or 'unload'."),
        )


def _stop_without_reader(supervisor: Supervisor) -> None:
    """Nobody reads the messages any more (the program that started this one is gone): stop."""
    if sys.platform == "win32":
        return  # there the next message that cannot be written ends it
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
        poll.poll()
    except (OSError, ValueError):
        return
    supervisor.request(supervisor.stop)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
