"""What EXIF says about the lens: the focal length in pixels of the stored picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)

_FOCAL_LENGTH = 0x920A
_FOCAL_LENGTH_35MM = 0xA405
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_PLANE_X_RESOLUTION, _PLANE_RESOLUTION_UNIT = 0xA20E, 0xA210
_MM_OF_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


def focal_pixels(exif: Mapping[int, Any], width: int, height: int) -> float | None:
    """The focal length in pixels of a `width` x `height` picture, or None where EXIF does not tell.

    `exif` is the Exif sub-directory by tag. The sensor's own pixel pitch is used where it is given and agrees with the
    35 mm equivalent, which is rounded to whole millimetres; that is taken over the diagonal (CIPA DCG-001).
    """
    equivalent = _positive(exif.get(_FOCAL_LENGTH_35MM))
    diagonal = math.hypot(width, height)
    by_equivalent = None if equivalent is None else equivalent / FULL_FRAME_DIAGONAL_MM * diagonal
    by_pitch = _by_pixel_pitch(exif, max(width, height))
    if by_pitch is not None and by_equivalent is not None and not 0.8 < by_pitch / by_equivalent < 1.25:
        by_pitch = None
    focal = by_pitch or by_equivalent
    return focal if focal is not None and 0.2 < focal / diagonal < 50 else None


def _by_pixel_pitch(exif: Mapping[int, Any], longer_side: int) -> float | None:
    focal_mm, resolution = _positive(exif.get(_FOCAL_LENGTH)), _positive(exif.get(_PLANE_X_RESOLUTION))
    unit_mm = _MM_OF_UNIT.get(exif.get(_PLANE_RESOLUTION_UNIT, 2))
    if focal_mm is None or resolution is None or unit_mm is None:
        return None
    sides = [side for side in (_positive(exif.get(tag)) for tag in (_PIXEL_WIDTH, _PIXEL_HEIGHT)) if side]
    resized = longer_side / max(sides) if sides else 1.0
    return focal_mm * resolution / unit_mm * resized


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None
