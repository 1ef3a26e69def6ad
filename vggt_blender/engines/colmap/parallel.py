"""Work side by side: numpy and OpenCV let go of the interpreter for arrays of some size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

_THREADS = 2


def side_by_side(work: Callable[[int], None], indices: Iterable[int]) -> None:
    """Run `work` for all `indices` on two cores."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(work, indices):
            pass
