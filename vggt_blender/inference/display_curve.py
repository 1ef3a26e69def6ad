"""Scene-linear light (EXR, HDR, float TIFF) as sRGB bytes for solving: one curve for the whole shot.

A plate whose middle is well exposed keeps its exposure, so that colors look as they do in Blender's Standard view; one
that is far too dark or bright is brought to middle grey. The middle is the median, which highlights do not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIDDLE_GREY = 0.18
WELL_EXPOSED = (0.02, 0.5)
SHOULDER = 0.8

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class DisplayCurve:
    """Exposure `gain`, a shoulder above 0.8 that keeps detail in highlights, then the sRGB transfer function."""

    gain: float = 1.0

    def __call__(self, linear: NDArray[np.float32]) -> NDArray[np.uint8]:
        """sRGB bytes (..., 3) of scene-linear light (..., 3); NaN is black, infinity white."""
        x = np.nan_to_num(np.asarray(linear, np.float32) * self.gain, nan=0.0, posinf=1e6, neginf=0.0).clip(0.0, 1e6)
        over = np.maximum(x - SHOULDER, 0.0) / (1.0 - SHOULDER)
        x = np.minimum(x, SHOULDER) + (1.0 - SHOULDER) * over / (1.0 + over)
        encoded = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(x, 1 / 2.4) - 0.055)
        return (encoded * 255.0 + 0.5).astype(np.uint8)


def sample_luminance(linear: NDArray[np.float32], count: int = 4096) -> NDArray[np.float32]:
    """About `count` luminances (n,) spread over the picture (H, W, 3)."""
    values = (linear.reshape(-1, 3) @ _LUMINANCE).ravel()
    return values[:: max(1, len(values) // count)]


def curve_for(samples: Sequence[NDArray[np.float32]]) -> DisplayCurve:
    """The curve of a shot from the luminances of its frames."""
    values = np.concatenate(samples) if samples else np.empty(0, np.float32)
    lit = values[np.isfinite(values) & (values > 0)]
    if not len(lit):
        return DisplayCurve()
    middle = float(np.median(lit))
    low, high = WELL_EXPOSED
    return DisplayCurve(1.0 if low <= middle <= high else MIDDLE_GREY / middle)
