"""How a picture file asks to be turned: Blender shows the stored pixels and leaves EXIF orientation aside.

Only the orientation tag is read, with every length checked: pictures come from
strangers.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
_TAG = 0x0112

# Stored texture coordinates (u right, v up, 0..1) of shown ones, as rows (a, b, c): a * u + b * v + c. EXIF 2.32,
# section 4.6.4.
_STORED_FROM_SHOWN: dict[int, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    1: ((1, 0, 0), (0, 1, 0)),
    2: ((-1, 0, 1), (0, 1, 0)),
    3: ((-1, 0, 1), (0, -1, 1)),
    4: ((1, 0, 0), (0, -1, 1)),
    5: ((0, -1, 1), (-1, 0, 1)),
    6: ((0, -1, 1), (1, 0, 0)),
    7: ((0, 1, 0), (1, 0, 0)),
    8: ((0, 1, 0), (-1, 0, 1)),
}


def orientation_of(path: Path | str) -> int:
    """The EXIF orientation, 1 to 8, of a JPEG, TIFF, PNG or WebP file; 1 where it says nothing that can be read."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(1 << 18)
            if head[8:12] == b"WEBP":  # keeps it at the end
                head += file.read()
    except OSError:
        return UPRIGHT
    try:
        return _from_tiff(_tiff_block(head))
    except struct.error:
        return UPRIGHT


def stored_uv(uv: NDArray[np.floating], orientation: int) -> NDArray[np.floating]:
    """Texture coordinates (..., 2) in the stored picture for those in the picture as it is shown."""
    rows = np.array(_STORED_FROM_SHOWN[orientation])
    return uv @ rows[:, :2].T + rows[:, 2]


def _tiff_block(head: bytes) -> bytes:
    if head[:4] in (b"II*\0", b"MM\0*"):
        return head
    if head[:2] == b"\xff\xd8":
        return _jpeg_exif(head)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return _chunk(head, 8, b"eXIf", ">I4s", size_first=True)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        block = _chunk(head, 12, b"EXIF", "<4sI", size_first=False)
        return block[6:] if block[:6] == b"Exif\0\0" else block
    return b""


def _jpeg_exif(head: bytes) -> bytes:
    position = 2
    while position + 4 <= len(head) and head[position] == 0xFF:
        marker, length = struct.unpack_from(">xBH", head, position)
        if marker == 0xE1 and head[position + 4 : position + 10] == b"Exif\0\0":
            return head[position + 10 : position + 2 + length]
        if marker == 0xDA or length < 2:
            break
        position += 2 + length
    return b""


def _chunk(head: bytes, start: int, wanted: bytes, layout: str, *, size_first: bool) -> bytes:
    position = start
    while position + 8 <= len(head):
        first, second = struct.unpack_from(layout, head, position)
        size, name = (first, second) if size_first else (second, first)
        if name == wanted:
            return head[position + 8 : position + 8 + size]
        position += 8 + size + (4 if size_first else size % 2)  # PNG: a checksum; WebP: padded to even
    return b""


def _from_tiff(block: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return UPRIGHT
    (offset,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, offset)
    for entry in range(count):
        tag, _, _, value = struct.unpack_from(order + "HHIH", block, offset + 2 + 12 * entry)
        if tag == _TAG:
            return value if value in _STORED_FROM_SHOWN else UPRIGHT
    return UPRIGHT
