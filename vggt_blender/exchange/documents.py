"""JSON files from strangers: whatever is wrong with one is a `ValueError` of one line.

This module may import the standard library only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LARGEST_NUMBER = 2**53
"""Whole numbers beyond it are no count, size or index of anything, and fit no float."""


def read_json(path: Path, largest: int = 2**29) -> Any:
    """The value in the file at `path`, of at most `largest` bytes.

    Raises `OSError` where the file cannot be read, `ValueError` where it is no such document.
    """
    if path.stat().st_size > largest:
        raise ValueError(f"it is larger than {largest >> 20} MB")
    return parse_json(path.read_bytes())


def parse_json(text: str | bytes) -> Any:
    """The value that `text` says. Raises `ValueError`."""
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole_number(digits: str) -> int:
    if len(digits) > len(str(LARGEST_NUMBER)) or abs(int(digits)) > LARGEST_NUMBER:
        raise ValueError(f"the number {digits[:20]}... is too large")
    return int(digits)
