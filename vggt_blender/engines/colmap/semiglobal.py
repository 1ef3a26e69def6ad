"""Semi-global matching: the surface whose costs, and whose jumps along four directions, are least.

After Hirschmüller, "Stereo processing by semiglobal matching and mutual information", 2008.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

SMALL_STEP = 0.15
"""Price of a step by one plane between neighbouring pixels: slanted surfaces pay it."""

JUMP = 1.5
"""What any larger step costs besides where the picture is flat: less where it changes, as depth edges go with those."""

EDGE = 8.0
"""Change of brightness (grey levels a pixel) that halves the price of a jump."""


def surface(costs: Float32, gray: NDArray[np.uint8]) -> Float32:
    """The plane number (h, w), between samples, of the surface for `costs` (h, w, planes) seen in `gray` (h, w)."""
    total = np.zeros_like(costs)
    for axis in (0, 1):
        for sign in (1, -1):
            _add_path(total.swapaxes(0, axis)[::sign], costs.swapaxes(0, axis)[::sign], gray.swapaxes(0, axis)[::sign])
    index = np.clip(total.argmin(axis=2), 1, costs.shape[2] - 2)[..., None]
    before, at, after = (np.take_along_axis(total, index + move, 2)[..., 0] for move in (-1, 0, 1))
    curvature = before - 2 * at + after
    with np.errstate(divide="ignore", invalid="ignore"):
        move = np.where(curvature > 1e-6, 0.5 * (before - after) / curvature, 0)
    return (index[..., 0] + np.clip(move, -1, 1)).astype(np.float32)


def _add_path(total: Float32, costs: Float32, gray: NDArray[np.uint8]) -> None:
    """Add the path costs from each row to the next one."""
    brightness = gray.astype(np.float32)
    previous = np.array(costs[0])
    total[0] += previous
    padded = np.full((previous.shape[0], previous.shape[1] + 2), np.inf, np.float32)
    for row in range(1, len(costs)):
        jump = JUMP / (1 + np.abs(brightness[row] - brightness[row - 1]) / EDGE)
        least = previous.min(axis=1, keepdims=True)
        padded[:, 1:-1] = previous
        step = np.minimum(padded[:, :-2], padded[:, 2:])
        step += SMALL_STEP
        np.minimum(step, previous, out=step)
        np.minimum(step, least + (SMALL_STEP + jump)[:, None], out=step)
        step -= least
        step += costs[row]
        total[row] += step
        previous = step
