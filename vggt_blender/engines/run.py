"""From a job to a reconstruction folder: open the source, choose the engine, let it write."""

from __future__ import annotations

from pathlib import Path

from ..exchange.job import Job
from ..exchange.messages import Reporter


def run_job(job: Job, report: Reporter) -> Path:
    """Reconstruct `job` and return its finished folder.

    Raises `JobError` (`Cancelled` included); nothing of a run that did not finish stays behind, and an earlier result
    in the same folder is kept.
    """
    raise NotImplementedError
