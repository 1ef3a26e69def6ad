"""What lies on the picture and not in the scene: burnt-in text, logos, and the black bars of a letterbox.

Such details stay on the same pixels while everything else moves; taken for scene they hold the camera still.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .features import Features, Gray
from .matching import match

SAMPLES = 9
"""Frames, spread over the shot, in which each frame's features are looked up again."""

STILL = 0.6
"""Working pixels within which a feature has stayed where it was."""

PERSISTENT = 0.6
"""Share of the sampled frames in which a feature of an overlay is found on its pixel: grain hides it in some."""

LEAST_SHARE = 0.005
"""Of a shot's features; what is less does no harm among all the others."""

FEWEST_MOVING, LEAST_MOVE = 30, 8.0
"""Matches, and by how many working pixels they moved, that show that something has moved."""

GRID, FEWEST_IN_CELL, SPREAD = 4, 3, 0.7
"""The picture itself has moved where, of the cells of a grid that show anything that moved or stayed, so many show
something that moved. Something that crosses a picture which stands still is in fewer of them; between the letters of
a plate with text all over, the scene still moves in most."""

FEWEST_SAMPLES = 3

BLACK, EVEN, STEP, EDGE = 24, 4, 12, 8
"""A bar stays darker than this grey, its lines alike within some greys; the picture beside it gets brighter than that
by a step; features within so many working pixels of its edge belong to it."""

Bool = NDArray[np.bool_]


def overlay_features(features: Sequence[Features]) -> list[Bool] | None:
    """Per frame which of its features (K,) lie on an overlay; None where the shot shows none.

    The frames follow each other. A picture that stands still tells nothing, whatever crosses it: only frames between
    which things move all over it count.
    """
    samples = np.unique(np.linspace(0, len(features) - 1, SAMPLES).astype(int)).tolist()
    if len(samples) < FEWEST_SAMPLES or not _any_persistent(features, samples):
        return None
    moving = [samples[0]]
    for sample in samples[1:]:
        if _moved(features, moving[-1], sample):
            moving.append(sample)
    if len(moving) < FEWEST_SAMPLES:
        return None
    found = [_persistent(features, position, moving) for position in range(len(features))]
    share = sum(int(each.sum()) for each in found) / max(1, sum(len(each) for each in found))
    return found if share >= LEAST_SHARE else None


def _any_persistent(features: Sequence[Features], samples: Sequence[int]) -> bool:
    found = [_persistent(features, position, samples) for position in samples]
    return sum(int(each.sum()) for each in found) >= LEAST_SHARE * sum(len(each) for each in found)


def _persistent(features: Sequence[Features], position: int, samples: Sequence[int]) -> Bool:
    """Which features of a frame lie on their pixel in most of the other `samples`, too."""
    others = [sample for sample in samples if sample != position]
    seen = np.zeros(len(features[position].xy), np.int64)
    for other in others:
        seen += _stayed(features[position].xy, features[other].xy)
    return np.asarray(seen >= PERSISTENT * len(others))


def _stayed(here: NDArray[np.float64], there: NDArray[np.float64]) -> Bool:
    """Which of the places `here` (K, 2) have one of `there` (L, 2) within `STILL` pixels."""
    stayed = np.zeros(len(here), np.bool_)
    if not len(here) or not len(there):
        return stayed
    size = np.maximum(here.max(axis=0), there.max(axis=0)).astype(int) + 3
    row_at = np.full(size, -1, np.int64)
    cells = there.astype(int) + 1
    row_at[cells[:, 0], cells[:, 1]] = np.arange(len(there))
    for across in (-1, 0, 1):
        for down in (-1, 0, 1):
            rows = row_at[here[:, 0].astype(int) + 1 + across, here[:, 1].astype(int) + 1 + down]
            stayed |= (rows >= 0) & (np.linalg.norm(there[rows] - here, axis=1) < STILL)
    return stayed


def _moved(features: Sequence[Features], first: int, second: int) -> bool:
    """Whether the picture moved on the way from one frame to another: of far ones the last part of it may tell."""
    gap = second - first
    while gap:
        if _moved_all_over(features[second - gap], features[second]):
            return True
        gap //= 2
    return False


def _moved_all_over(first: Features, second: Features) -> bool:
    """Whether what did not stay on its pixel is found again somewhere else, in most of the picture."""
    stayed = _stayed(first.xy, second.xy)
    rest = first.some(~stayed), second.some(~_stayed(second.xy, first.xy))
    found = match(*rest)
    rows = found.matches[found.sure]
    moves = np.linalg.norm(rest[0].xy[rows[:, 0]] - rest[1].xy[rows[:, 1]], axis=1)
    moved = rest[0].xy[rows[moves > LEAST_MOVE, 0]]
    if len(moved) < FEWEST_MOVING:
        return False
    reach = np.stack([first.xy.min(axis=0), first.xy.max(axis=0)], axis=1)
    moving, still = (_cells(places, reach) for places in (moved, first.xy[stayed]))
    return int(moving.sum()) >= SPREAD * int((moving | still).sum())


def _cells(places: NDArray[np.float64], reach: NDArray[np.float64]) -> Bool:
    """Which cells of the grid over `reach` ((left, right), (top, bottom)) hold some of `places` (K, 2)."""
    counts = np.histogram2d(places[:, 0], places[:, 1], bins=GRID, range=reach)[0]
    return np.asarray(counts >= FEWEST_IN_CELL)


class Bars:
    """Finds the black bars that all pictures of one size share."""

    def __init__(self) -> None:
        self._brightest: dict[tuple[int, ...], Gray] = {}

    def look(self, gray: Gray) -> None:
        """Take note of one more working picture (h, w)."""
        before = self._brightest.get(gray.shape)
        self._brightest[gray.shape] = gray.copy() if before is None else np.maximum(before, gray)

    def picture(self, shape: tuple[int, ...]) -> tuple[slice, slice] | None:
        """Rows and columns between the bars, away from their edges, of pictures of `shape`; None without bars."""
        rows, columns = (np.median(self._brightest[shape], axis=axis) for axis in (1, 0))
        edges = _bar(rows), _bar(rows[::-1]), _bar(columns), _bar(columns[::-1])
        if not any(edges):
            return None
        top, bottom, left, right = (width + EDGE if width else 0 for width in edges)
        return slice(top, shape[0] - bottom), slice(left, shape[1] - right)


def _bar(brightest: NDArray[np.float64]) -> int:
    """How many lines from the border on are a bar. `brightest` (n,): each line's median, so text is no matter."""
    if brightest[0] >= BLACK:
        return 0
    width = int(np.argmax(brightest > brightest[0] + EVEN))
    beside = brightest[min(width + 1, len(brightest) - 1)]
    return width if width > 1 and beside >= brightest[0] + STEP else 0


def within(features: Features, picture: tuple[slice, slice]) -> Bool:
    """Which features (K,) lie in these rows and columns."""
    rows, columns = picture
    inside = (features.xy >= [columns.start, rows.start]) & (features.xy <= [columns.stop, rows.stop])
    return np.asarray(inside.all(axis=1))
