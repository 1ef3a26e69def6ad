"""Work side by side: numpy, OpenCV and COLMAP let go of the interpreter for work of some size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

MOST_THREADS = 16
"""More bring nothing: what is worked on at once is a frame or a pair of them."""


def threads() -> int:
    """How many threads to use: `OMP_NUM_THREADS`, else the processors that this process may run on."""
    chosen = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if chosen.isdecimal() and int(chosen) > 0:
        return min(int(chosen), MOST_THREADS)
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(here, MOST_THREADS)


def side_by_side(work: Callable[[int], None], indices: Iterable[int]) -> None:
    """Run `work` for all `indices`, some at once."""
    with ThreadPoolExecutor(threads()) as pool:
        for _ in pool.map(work, indices):
            pass
