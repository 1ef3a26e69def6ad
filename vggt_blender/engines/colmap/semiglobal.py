"""Semi-global matching: the surface whose costs, and whose jumps along eight directions, are least.

After Hirschmüller, "Stereo processing by semiglobal matching and mutual information", 2008.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

SMALL_STEP = 0.08
"""Price of a step by one plane between neighbouring pixels: slanted surfaces pay it."""

JUMP = 0.55
"""Price of any larger step where the picture is flat; less where brightness changes, as depth edges go with those."""


def surface(costs: Float32, gray: NDArray[np.uint8]) -> Float32:
    """The plane number (h, w), between samples, of the surface for `costs` (h, w, planes) seen in `gray` (h, w)."""
    total = costs * np.float32(0.5)
    for rows, columns in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for sign in (1, -1):
            _add_path(total, costs, gray, sign * rows, sign * columns)
    index = np.clip(total.argmin(axis=2), 1, costs.shape[2] - 2)[..., None]
    before, at, after = (np.take_along_axis(total, index + move, 2)[..., 0] for move in (-1, 0, 1))
    curvature = before - 2 * at + after
    with np.errstate(divide="ignore", invalid="ignore"):
        move = np.where(curvature > 1e-6, 0.5 * (before - after) / curvature, 0)
    return (index[..., 0] + np.clip(move, -1, 1)).astype(np.float32)


def _add_path(total: Float32, costs: Float32, gray: NDArray[np.uint8], rows: int, columns: int) -> None:
    """Add the path costs of one direction. The step goes to the next row, or with rows == 0 to the next column."""
    if rows == 0:
        total, costs, gray = total.swapaxes(0, 1), costs.swapaxes(0, 1), gray.T
        rows, columns = columns, 0
    if rows < 0:
        total, costs, gray = total[::-1], costs[::-1], gray[::-1]
    brightness = gray.astype(np.float32)
    previous = np.array(costs[0])
    padded = np.empty((previous.shape[0], previous.shape[1] + 2), np.float32)
    total[0] += previous
    for row in range(1, len(costs)):
        change = np.abs(brightness[row] - _moved(brightness[row - 1], columns))
        jump = SMALL_STEP + JUMP / (1 + change / 8)
        before = _moved(previous, columns)
        least = before.min(axis=1, keepdims=True)
        padded[:, 1:-1] = before
        padded[:, 0] = padded[:, -1] = np.inf
        step = np.minimum(padded[:, :-2], padded[:, 2:])
        step += SMALL_STEP
        np.minimum(step, before, out=step)
        np.minimum(step, least + jump[:, None], out=step)
        step -= least
        step += costs[row]
        previous = step
        total[row] += previous


def _moved(values: Float32, columns: int) -> Float32:
    """`values` (w, ...) of the pixels that lie `columns` before; the border repeats."""
    if columns == 0:
        return values
    moved = np.empty_like(values)
    if columns > 0:
        moved[1:], moved[0] = values[:-1], values[0]
    else:
        moved[:-1], moved[-1] = values[1:], values[-1]
    return moved
