"""Ways to reconstruct: the same call, the same result. No engine is imported before it is chosen."""

from .run import run_job

__all__ = ["run_job"]
