"""The quality of a shot as a small picture: error by frame above, points by frame below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .quality import Quality, bad_frames

Float32 = NDArray[np.float32]

SIZE = 256
GAP = 8  # pixels between the two strips

GOOD = (0.36, 0.60, 0.86, 1.0)
BAD = (0.95, 0.45, 0.15, 1.0)
MISSING = (0.75, 0.15, 0.15, 0.55)
GROUND = (0.0, 0.0, 0.0, 0.30)
LINE = (1.0, 1.0, 1.0, 0.35)


def quality_graph(quality: Quality) -> Float32:
    """RGBA (SIZE, SIZE, 4), 0..1, rows from the bottom as Blender's images have them.

    One bar a frame; frames that share a column show the worst of them. A frame that was not placed is a red column.
    The line is the shot's median error.
    """
    picture = np.zeros((SIZE, SIZE, 4), np.float32)
    height = (SIZE - GAP) // 2
    bad = {entry.quality.frame for entry in bad_frames(quality)}
    marked = [frame.frame in bad for frame in quality.frames]
    missing = [not frame.registered for frame in quality.frames]
    residuals = [frame.residual_px for frame in quality.frames]
    points = [frame.points for frame in quality.frames]
    top = highest_residual(quality)
    _draw_strip(picture[height + GAP :], residuals, marked, missing, top)
    if quality.residual_px is not None:
        picture[height + GAP + min(height - 1, int(quality.residual_px / top * (height - 1)))] = LINE
    _draw_strip(picture[:height], points, marked, missing, float(max([p for p in points if p is not None], default=1)))
    return picture


def highest_residual(quality: Quality) -> float:
    """The error at the upper edge of the graph: a single wild frame does not flatten all others."""
    known = [frame.residual_px for frame in quality.frames if frame.residual_px is not None]
    return max(1e-6, min(max(known, default=1.0), 6.0 * (quality.residual_px or 1.0)))


def _draw_strip(
    strip: Float32, values: Sequence[float | None], marked: Sequence[bool], missing: Sequence[bool], top: float
) -> None:
    height = len(strip)
    strip[:] = GROUND
    edges = np.linspace(0, SIZE, len(values) + 1).round().astype(int)
    reached = np.zeros(SIZE, np.int64)
    for position, value in enumerate(values):
        first = edges[position]
        last = max(first + 1, edges[position + 1] - (1 if 3 * len(values) <= SIZE else 0))
        if missing[position]:
            strip[:, first:last] = MISSING
        elif value is not None:
            bar = max(1, round(min(1.0, value / max(top, 1e-6)) * height))
            columns = slice(first, last)
            if marked[position] or bar >= reached[columns].max(initial=0):
                strip[:bar, columns] = BAD if marked[position] else GOOD
                reached[columns] = bar
