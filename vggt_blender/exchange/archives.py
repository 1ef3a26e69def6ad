"""Arrays of an ``.npz`` file from strangers: nothing is unpacked before its header says that it fits.

This module may import the standard library and numpy only.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

LARGEST_UNPACKED = 2 * 2**30
"""Bytes that a compressed file may grow to; one that is larger on the disk may have as many as there."""

Shape = tuple[int, ...]
Kinds = Mapping[str, type[np.generic]]


def read_archive(path: Path, kinds: Kinds, fits: Callable[[dict[str, Shape]], bool]) -> dict[str, NDArray[Any]]:
    """The arrays in the file at `path` that `kinds` names, with their types; others are not looked at.

    Raises `ValueError` where one is of another type, where their shapes do not `fits`, or where they are too large; a
    damaged file raises whatever its damaged part raises.
    """
    with zipfile.ZipFile(path) as archive:
        headers = {}
        for name in kinds:
            with archive.open(f"{name}.npy") as member:
                headers[name] = _header(member)
        if not fits({name: shape for name, (shape, _) in headers.items()}) or any(
            headers[name][1] != kind for name, kind in kinds.items()
        ):
            raise ValueError("its arrays are of the wrong shape or kind")
        size = sum(math.prod(shape) * dtype.itemsize for shape, dtype in headers.values())
        if size > max(LARGEST_UNPACKED, path.stat().st_size):
            raise ValueError(f"it would take {size / 1e9:.3g} GB of memory")
        arrays = {}
        for name in kinds:
            with archive.open(f"{name}.npy") as member:
                arrays[name] = npy.read_array(member, allow_pickle=False)
        return arrays


def _header(file: IO[bytes]) -> tuple[Shape, np.dtype[Any]]:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in readers:
        raise ValueError(f"version {version} of an array's format is not known")
    shape, _, dtype = readers[version](file)
    return shape, dtype
