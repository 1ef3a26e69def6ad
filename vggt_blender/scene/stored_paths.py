"""Paths as Blender stores them."""

from __future__ import annotations

import os
from pathlib import Path

import bpy


def full_path(stored: str) -> Path:
    """Where `stored`, which may count from the .blend (``//``), leads, so that two ways to write it are equal.

    Blender's own `abspath` leaves every ``..`` in it, and a plate that does not lie below the .blend has one.
    """
    return Path(os.path.normpath(bpy.path.abspath(stored))).absolute()


def leads_to(stored: str, path: Path) -> bool:
    """Whether `stored` is another way to write the absolute `path`."""
    return full_path(stored) == Path(os.path.normpath(path))
