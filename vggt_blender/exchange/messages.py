"""The messages that a running job prints: one JSON object a line.

This module may import the standard library only. The shapes are a contract with other programs:

``{"type": "progress", "job", "stage", "done", "total", "remaining_s"}``,
``{"type": "status" | "warning", "job", "message"}``, ``{"type": "done", "job", "path"}`` and
``{"type": "error", "job", "code", "message", "detail"}``. ``done`` or ``error`` is the last message of a job.
"""

from __future__ import annotations

import json
from typing import Any, Protocol, runtime_checkable

from .estimate import Stage

Message = dict[str, Any]

FINAL_TYPES = frozenset({"done", "error"})
TYPES = FINAL_TYPES | {"progress", "status", "warning"}
CANCELLED = "cancelled"


class JobError(Exception):
    """A failure that the user can act on.

    ``code`` is a short machine-readable word, ``message`` one line that says what is wrong and what to do, ``detail``
    whatever helps a developer (a traceback, a library's own text) or an empty string.
    """

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail


class Cancelled(JobError):  # noqa: N818 - an outcome rather than an error
    """The user asked the job to stop."""

    def __init__(self) -> None:
        super().__init__(CANCELLED, "Cancelled.")


class Reporter(Protocol):
    """Where an engine sends its news. Every call may raise `Cancelled`."""

    def progress(self, stage: str, done: int, total: int) -> None: ...

    def status(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...


@runtime_checkable
class Planning(Protocol):
    """What a `Reporter` that tells the time left has beside the rest."""

    def expect(self, plan: tuple[Stage, ...]) -> None:
        """What is to come; an empty plan is one stage. Before this nothing is said of the time left."""


def expect(report: Reporter, plan: tuple[Stage, ...]) -> None:
    """Tell `report` what is to come, where it wants to know."""
    if isinstance(report, Planning):
        report.expect(plan)


def progress(job: str, stage: str, done: int, total: int, remaining_s: float | None = None) -> Message:
    return {"type": "progress", "job": job, "stage": stage, "done": done, "total": total, "remaining_s": remaining_s}


def status(job: str, message: str) -> Message:
    return {"type": "status", "job": job, "message": message}


def warning(job: str, message: str) -> Message:
    return {"type": "warning", "job": job, "message": message}


def done(job: str, path: str) -> Message:
    return {"type": "done", "job": job, "path": path}


def error(job: str, failure: JobError) -> Message:
    return {
        "type": "error",
        "job": job,
        "code": failure.code,
        "message": failure.message,
        "detail": failure.detail,
    }


def encode(message: Message) -> str:
    """One line of ASCII JSON, newline included."""
    return json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")) + "\n"


def decode(line: str) -> Message | None:
    """The message on `line`, or None where the line is not one (a library that prints to stdout, say)."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    if isinstance(message, dict) and message.get("type") in TYPES and isinstance(message.get("job"), str):
        return message
    return None
