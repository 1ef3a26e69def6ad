"""The focal length in pixels from what cameras write."""

from __future__ import annotations

import math

import pytest
from PIL.TiffImagePlugin import IFDRational

from vggt_blender.inference.exif import focal_pixels

FOCAL, FOCAL_35, WIDTH, HEIGHT, X_RESOLUTION, UNIT = 0x920A, 0xA405, 0xA002, 0xA003, 0xA20E, 0xA210


def test_the_35_mm_equivalent_is_taken_over_the_diagonal() -> None:
    assert focal_pixels({FOCAL_35: 36}, 3600, 2400) == pytest.approx(3600)
    four_by_three = focal_pixels({FOCAL_35: 28}, 4000, 3000)
    assert four_by_three == pytest.approx(28 / math.hypot(36, 24) * 5000)
    assert focal_pixels({FOCAL_35: 28}, 3000, 4000) == pytest.approx(four_by_three)


@pytest.mark.parametrize(("unit", "per_mm"), [(2, 25.4), (3, 10.0), (4, 1.0), (None, 25.4)])
def test_the_sensors_pitch_gives_pixels_exactly(unit: int | None, per_mm: float) -> None:
    # 6000 pixels on 36 mm, a 50 mm lens
    exif = {FOCAL: IFDRational(50, 1), X_RESOLUTION: IFDRational(6000 * per_mm / 36), WIDTH: 6000, HEIGHT: 4000}
    if unit is not None:
        exif[UNIT] = unit
    assert focal_pixels(exif, 6000, 4000) == pytest.approx(50 / 36 * 6000, rel=1e-6)
    assert focal_pixels(exif, 3000, 2000) == pytest.approx(50 / 36 * 3000, rel=1e-6), "resized since"
    assert focal_pixels(exif, 2000, 3000) == pytest.approx(50 / 36 * 3000, rel=1e-6), "turned since"


def test_a_pitch_that_contradicts_the_equivalent_is_not_believed() -> None:
    exif = {FOCAL: 50.0, X_RESOLUTION: 72.0, UNIT: 2, FOCAL_35: 50, WIDTH: 6000, HEIGHT: 4000}
    assert focal_pixels(exif, 6000, 4000) == pytest.approx(50 / math.hypot(36, 24) * math.hypot(6000, 4000))


@pytest.mark.parametrize(
    "exif",
    [
        {},
        {FOCAL: 50.0},
        {FOCAL_35: 0},
        {FOCAL_35: "wide"},
        {FOCAL: IFDRational(0, 0), X_RESOLUTION: 1.0},
        {FOCAL_35: 1},
    ],
)
def test_what_says_nothing_gives_none(exif: dict[int, object]) -> None:
    assert focal_pixels(exif, 6000, 4000) is None
