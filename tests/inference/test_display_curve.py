"""Scene-linear light on screen."""

from __future__ import annotations

import numpy as np

from vggt_blender.inference.display_curve import DisplayCurve, curve_for, sample_luminance


def grey(*values: float) -> np.ndarray:
    return np.repeat(np.array(values, np.float32)[:, None], 3, axis=1)


def test_without_exposure_it_is_the_srgb_transfer_function_below_the_shoulder() -> None:
    codes = np.array([0, 10, 64, 118, 188, 230])
    encoded = codes / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    assert (DisplayCurve()(grey(*linear))[:, 0] == codes).all()


def test_highlights_keep_their_order_and_detail_instead_of_clipping() -> None:
    shown = DisplayCurve()(grey(0.7, 0.8, 0.9, 1.0, 1.5, 2.0, 4.0))[:, 0].astype(int)
    assert (np.diff(shown) > 0).all()
    assert shown[-1] < 255


def test_what_is_no_number_does_no_harm() -> None:
    assert DisplayCurve()(grey(np.nan, -1.0, np.inf, -np.inf))[:, 0].tolist() == [0, 0, 255, 0]


def test_a_well_exposed_plate_keeps_its_exposure() -> None:
    assert curve_for([np.full(100, 0.2, np.float32), np.full(100, 0.3, np.float32)]).gain == 1.0


def test_a_dark_plate_is_brought_to_middle_grey_whatever_its_highlights() -> None:
    dark = np.full(1000, 0.001, np.float32)
    with_sun = dark.copy()
    with_sun[:50] = 60000.0
    assert np.isclose(curve_for([dark]).gain, 180.0)
    assert np.isclose(curve_for([with_sun]).gain, 180.0)
    assert curve_for([np.zeros(10, np.float32)]).gain == 1.0
    assert curve_for([]).gain == 1.0


def test_luminance_weighs_green_most() -> None:
    picture = np.zeros((64, 64, 3), np.float32)
    picture[..., 1] = 1.0
    assert np.allclose(sample_luminance(picture), 0.7152)
