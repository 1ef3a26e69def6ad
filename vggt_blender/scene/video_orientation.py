"""How a video file asks to be turned, and what Blender makes of that.

MP4 and QuickTime only: phones write those. Every length is checked: files come from strangers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import bpy

from .orientation import UPRIGHT

# EXIF orientation by the signs of (a, b, c, d) in a track header's matrix, by which (x, y) is shown at
# (a x + c y, b x + d y). QuickTime File Format, "Matrices".
_BY_SIGNS = {
    (1, 0, 0, 1): 1, (-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5, (0, 1, -1, 0): 6, (0, -1, -1, 0): 7, (0, -1, 1, 0): 8,
}  # fmt: skip
_TURNS = {2: 3, 4: 1, 5: 6, 7: 8}  # Blender knows no mirrors: what it shows instead
_NESTING = (b"moov", b"trak", b"mdia")
_MOST_BOXES = 10_000


def orientation_of_video(path: Path) -> int:
    """The EXIF orientation, 1 to 8, that the first video track asks for; 1 where nothing says so."""
    header = b""
    try:
        with path.open("rb") as file:
            for kind, content in _boxes(file):
                if kind == b"tkhd":
                    header = content
                elif kind == b"hdlr" and content[8:12] == b"vide":
                    return _orientation(header)
    except (OSError, struct.error):
        pass
    return UPRIGHT


def blender_turns_to(orientation: int) -> int:
    """The orientation in which this Blender shows a video that asks for `orientation`: before 4.5 as it is stored."""
    return UPRIGHT if bpy.app.version < (4, 5, 0) else _TURNS.get(orientation, orientation)


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Kind and first bytes of every box, in the order of the file; one that holds others comes before them."""
    for _ in range(_MOST_BOXES):
        start = file.tell()
        head = file.read(8)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head)
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        inside = file.tell()
        yield kind, file.read(96) if kind in (b"tkhd", b"hdlr") else b""
        if size < inside - start:  # 0: to the end of the file
            return
        file.seek(inside if kind in _NESTING else start + size)


def _orientation(header: bytes) -> int:
    """Of a track header's content."""
    a, b, _, c, d = struct.unpack_from(">5i", header, 52 if header[:1] == b"\1" else 40)
    signs = tuple((term > 0) - (term < 0) for term in (a, b, c, d))
    return _BY_SIGNS.get(signs, UPRIGHT)
