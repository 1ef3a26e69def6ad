"""Which files are taken for pictures and for videos, by the ending of their names in small letters.

This module may import the standard library only.
"""

from __future__ import annotations

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".tga", ".jp2", ".avif", ".exr", ".hdr", ".dpx"}
)
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".mxf", ".wmv"}
    | {".flv", ".ogv", ".3gp", ".gif"}
)
