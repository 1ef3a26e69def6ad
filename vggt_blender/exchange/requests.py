"""The lines that ask a backend for work: a job or an export, told apart by their ``type``.

This module may import the standard library only.
"""

from __future__ import annotations

from typing import Any

from .export import Export
from .job import Job
from .messages import JobError

Request = Job | Export
"""What is queued, run, cancelled and answered alike."""

KINDS: dict[str, type[Job] | type[Export]] = {Job.TYPE: Job, Export.TYPE: Export}


def taken(job_id: str) -> JobError:
    """What is wrong with a second request of the id `job_id` while the first has not ended."""
    return JobError("usage", f"A job '{job_id}' is already here, so another was not taken: give each its own id.")


def request_line(request: Request) -> dict[str, Any]:
    """The JSON object that asks for `request`."""
    return {"type": request.TYPE, **request.to_dict()}


def read_request(line: dict[str, Any]) -> Request:
    """What the JSON object `line`, whose ``type`` is among `KINDS`, asks for. Raises `JobError`."""
    return KINDS[line["type"]].from_dict({key: value for key, value in line.items() if key != "type"})
