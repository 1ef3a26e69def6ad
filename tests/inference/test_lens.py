"""One lens per shot: noise is not a zoom, a zoom is not noise."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_blender.inference.lens import fit_lens


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_outliers_stay_one_lens(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = 1000 * np.exp(rng.normal(0, 0.03, 60))
    raw[rng.choice(60, 6, replace=False)] *= 2
    fit = fit_lens(raw, ordered=True)
    assert not fit.zooms
    assert np.ptp(fit.focal) == 0
    assert fit.focal[0] == pytest.approx(1000, rel=0.02)
    assert fit.spread == pytest.approx(0.03, rel=0.7)


@pytest.mark.parametrize("count", [12, 48, 200])
@pytest.mark.parametrize("ratio", [0.7, 1.5, 4.0])
def test_zoom_is_found_and_followed(count: int, ratio: float) -> None:
    rng = np.random.default_rng(count)
    truth = 800 * ratio ** np.clip(np.linspace(-0.3, 1.3, count), 0, 1)
    fit = fit_lens(truth * np.exp(rng.normal(0, 0.02, count)), ordered=True)
    assert fit.zooms
    assert np.median(np.abs(fit.focal / truth - 1)) < 0.05
    jitter = np.abs(np.diff(np.log(fit.focal), 2)).max()
    assert jitter < abs(np.log(ratio)) / 4 + 0.03


def test_stills_never_zoom() -> None:
    fit = fit_lens(np.linspace(800, 1600, 30), ordered=False)
    assert not fit.zooms
    assert np.ptp(fit.focal) == 0


def test_unknown_frames_are_filled() -> None:
    fit = fit_lens([1000, np.inf, 0, 1010, np.nan, 990], ordered=True)
    assert fit.focal == pytest.approx(np.full(6, 1000))
    with pytest.raises(ValueError, match="no frame"):
        fit_lens([0, np.nan], ordered=True)
