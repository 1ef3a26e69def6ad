"""Paths as people give them: they may name a user who is not here, or a file that no disk could hold.

This module may import the standard library only.
"""

from __future__ import annotations

from pathlib import Path


def user_path(text: str | Path) -> Path:
    """`text` as a path; ``~`` and ``~name`` at its beginning are home folders, else part of a name."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def exists(path: Path) -> bool:
    """Whether something is at `path`; no where its name is too long, or where this may not be known."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def nearest_existing(path: Path) -> Path:
    """`path`, or the deepest of its parents that is there."""
    path = path.absolute()
    return next((above for above in (path, *path.parents) if exists(above)), Path(path.anchor))
