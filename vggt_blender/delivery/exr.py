"""OpenEXR files of 32-bit floats, written with the standard library and numpy: every compositor reads them.

After the OpenEXR file layout (openexr.com, "OpenEXR File Layout"): single part, scan lines, ZIP compression.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MAGIC, _VERSION = 20000630, 2
_FLOAT, _ZIP, _LINES = 2, 3, 16


def write_exr(path: Path, channels: Mapping[str, NDArray[np.float32]]) -> None:
    """Write `channels`, each (H, W), under their names; the first row is the top one."""
    names = sorted(channels)  # the layout asks for this order
    planes = np.stack([np.asarray(channels[name], "<f4") for name in names], axis=1)  # row, channel, column
    height, _, width = planes.shape
    blocks = [_compressed(planes[row : row + _LINES].tobytes()) for row in range(0, height, _LINES)]
    header = _header(names, width, height)
    place = len(header) + 8 * len(blocks)
    with path.open("wb") as file:
        file.write(header)
        for block in blocks:
            file.write(struct.pack("<Q", place))
            place += 8 + len(block)
        for row, block in zip(range(0, height, _LINES), blocks, strict=True):
            file.write(struct.pack("<ii", row, len(block)) + block)


def _header(names: list[str], width: int, height: int) -> bytes:
    channels = b"".join(name.encode() + b"\0" + struct.pack("<iB3xii", _FLOAT, 0, 1, 1) for name in names) + b"\0"
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    entries = (
        ("channels", "chlist", channels),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
    )
    parts = [struct.pack("<II", _MAGIC, _VERSION)]
    for name, kind, value in entries:
        parts.append(name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value)
    return b"".join(parts) + b"\0"


def _compressed(data: bytes) -> bytes:
    """One block as ZIP has it: bytes at even places, then at odd ones, as differences; plain where that is smaller."""
    values = np.frombuffer(data, np.uint8)
    ordered = np.concatenate([values[0::2], values[1::2]]).astype(np.int16)
    steps = ordered.copy()
    steps[1:] = ordered[1:] - ordered[:-1] + 128
    packed = zlib.compress(steps.astype(np.uint8).tobytes(), 4)
    return packed if len(packed) < len(data) else data
