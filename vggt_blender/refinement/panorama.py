"""A camera that only turns, from matches alone: where it looks and its focal length, without any cameras to start from.

Where nothing shows parallax, structure from motion has no answer, or a wrong one; turns on the spot have an exact one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..engines.colmap.adjustment import PROBE, WEAK
from ..geometry.cameras import Lens
from .correspondences import Turn
from .rotation_only import LEAST_IN_TURN, Tell, silent, turn_only
from .rotations import average_rotations
from .tracks import Observations, longest
from .views import Views

Array = NDArray[np.float64]

FOCALS = (0.6, 1.0, 1.7, 2.9, 5.0)
"""Focal lengths over the longer side that are tried where none is known."""

TRACKS = 120
"""The longest tracks of each frame that are used."""

_ROBUST_DEGREES = 0.5

MOST_BENT, BENT_STEP, WORTH = 0.3, 0.004, 0.8
"""The largest k1 that is looked for, how finely, and the share of the cost that may remain for it to be believed."""


USUAL_WORTH = 0.005
"""A lens that was thought of before is kept where the one that was found lowers the cost by no more than this part."""


@dataclass(frozen=True)
class Match:
    """What two frames share: their positions, and rows of the same details in each, working pixels (M, 2)."""

    first: int
    second: int
    xy_first: Array
    xy_second: Array


@dataclass(frozen=True)
class Panorama:
    """The turning camera.

    ``views``: frames that nothing ties to the others are not placed, the first that is looks along z. ``error`` (O,):
    how many working pixels the observations of ``table`` are from where the turns put them. ``focal_hold``: by what
    part the robust cost rises where the focal length is one percent off (None where nobody asked). ``tell`` is called
    at each step of a solution; what it raises ends it.
    """

    views: Views
    table: Observations
    error: Array
    focal_hold: float | None = None
    tell: Tell = silent

    def cost(self) -> float:
        """Robust, for comparison."""
        return float(np.log1p(self.error**2).sum())

    @property
    def lens_is_weak(self) -> bool:
        """Whether other focal lengths would explain the pictures about as well."""
        return self.focal_hold is not None and self.focal_hold < WEAK

    def held_at(self, lenses: Sequence[Lens]) -> Panorama:
        """The turns that explain the same observations best through these `lenses`, one a frame."""
        return _turned(self.table, replace(self.views, lenses=tuple(lenses)), False, self.tell)


def solve_panorama(
    table: Observations,
    matches: Sequence[Match],
    views: Views,
    *,
    free_focal: bool,
    start_known: bool,
    free_distortion: bool = False,
    tell: Tell = silent,
) -> Panorama | None:
    """Solve `table` as seen from one place; the poses of `views` are ignored, its lenses are where the solution starts.

    Distortion (k1), where it is free, is taken if it explains much of what turns alone do not. Returns None where the
    matches do not join at least two frames. `tell` is called at each step; what it raises ends the solution.
    """
    few = longest(table, TRACKS, len(views))
    best: Panorama | None = None
    for side in (None,) if start_known else FOCALS:
        lenses = views.lenses if side is None else tuple(_of_focal(views, k, side) for k in range(len(views)))
        begin = replace(views, lenses=lenses)
        begin = _chained(begin, [_turn(match, begin) for match in matches])
        joined = few.keep(begin.placed[few.frame])
        if begin.placed.sum() < 2 or not joined.tracks:
            return None
        seen = np.bincount(joined.frame, minlength=len(views)) >= LEAST_IN_TURN
        found = _turned(joined, replace(begin, placed=begin.placed & seen), free_focal, tell)
        if best is None or found.cost() < best.cost():
            best = found
    if free_distortion and best is not None:
        best = _bent(best, free_focal)
    return best


def with_focal_hold(turned: Panorama, usual: Sequence[Lens]) -> Panorama:
    """`turned` with its ``focal_hold``, and with the `usual` lenses (one a frame) where those explain it as well: a
    camera that hardly turns says nothing of its lens."""
    off = [
        turned.held_at([replace(lens, fx=factor * lens.fx, fy=factor * lens.fy) for lens in turned.views.lenses])
        for factor in (1 - PROBE, 1 + PROBE)
    ]
    hold = min(each.cost() for each in off) / max(turned.cost(), 1e-12) - 1
    held = replace(turned, focal_hold=hold)
    if not held.lens_is_weak:
        return held
    kept = turned.held_at(usual)
    return replace(kept, focal_hold=hold) if kept.cost() <= (1 + USUAL_WORTH) * turned.cost() else held


def _bent(straight: Panorama, free_focal: bool) -> Panorama:
    """With the radial distortion that explains the pictures best (golden section), or as it was where none helps."""

    def bent_by(k1: float) -> Panorama:
        lenses = tuple(replace(lens, distortion=(k1, 0.0, 0.0, 0.0, 0.0)) for lens in straight.views.lenses)
        return _turned(straight.table, replace(straight.views, lenses=lenses), free_focal, straight.tell)

    ratio = (np.sqrt(5) - 1) / 2
    low, high = -MOST_BENT, MOST_BENT
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    found = [bent_by(k1) for k1 in inner]
    while high - low > BENT_STEP:
        if found[0].cost() < found[1].cost():
            high, inner[1], found[1] = inner[1], inner[0], found[0]
            inner[0] = high - ratio * (high - low)
            found[0] = bent_by(inner[0])
        else:
            low, inner[0], found[0] = inner[0], inner[1], found[1]
            inner[1] = low + ratio * (high - low)
            found[1] = bent_by(inner[1])
    best = min(found, key=Panorama.cost)
    return best if best.cost() < WORTH * straight.cost() else straight


def _turned(table: Observations, begin: Views, free_focal: bool, tell: Tell) -> Panorama:
    views, error = turn_only(table, begin, free_focal=free_focal, tell=tell)
    return Panorama(_from_first(views), table, error * _growth(table, views), tell=tell)


def _growth(table: Observations, views: Views) -> Array:
    """How much longer a short line is in the picture than in one without distortion, where each observation (O,) lies.

    Errors are measured without distortion; taken as they are, the lens that squeezes the picture would win.
    """
    square = (views.rays(table.frame, table.xy) ** 2).sum(axis=1)
    terms = np.array([lens.distortion or (0.0,) * 5 for lens in views.lenses])[table.frame][:, [0, 1, 4]]
    powers = np.stack([square, square**2, square**3], axis=1)
    across, outwards = 1 + (terms * powers).sum(axis=1), 1 + (terms * powers * [3, 5, 7]).sum(axis=1)
    growth = np.sqrt(np.maximum(across * outwards, 0.0))
    return np.where(np.isfinite(growth), growth, 1.0)


def _from_first(views: Views) -> Views:
    """The same cameras in one place, the origin, turned so that the first placed one looks along z."""
    first = views.poses[np.flatnonzero(views.placed)[0], :, :3]
    rotations = views.poses[:, :, :3] @ first.T
    return replace(views, poses=np.dstack([rotations, np.zeros((len(views), 3, 1))]))


def _of_focal(views: Views, k: int, side: float) -> Lens:
    focal = side * float(views.sizes[k].max())
    return replace(views.lenses[k], fx=focal, fy=focal)


def _turn(match: Match, views: Views) -> Turn:
    """The rotation that most of the match's directions agree on (Wahba's problem, reweighted)."""
    rays = []
    for k, xy in ((match.first, match.xy_first), (match.second, match.xy_second)):
        flat = np.nan_to_num(views.rays(np.full(len(xy), k), xy))
        ray = np.column_stack([flat, np.ones(len(flat))])
        rays.append(ray / np.linalg.norm(ray, axis=1, keepdims=True))
    weight, rotation = np.ones(len(rays[0])), np.eye(3)
    for _ in range(8):
        left, _, right = np.linalg.svd(np.einsum("n,ni,nj->ij", weight, rays[1], rays[0]))
        rotation = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
        away = np.degrees(np.linalg.norm(rays[1] - rays[0] @ rotation.T, axis=1))
        weight = 1 / (1 + (away / _ROBUST_DEGREES) ** 2)
    return Turn(match.first, match.second, rotation, len(rays[0]))


def _chained(views: Views, turns: Sequence[Turn]) -> Views:
    """The views turned along the strongest chain of `turns`, then averaged over all; what they do not join is not
    placed."""
    count = len(views)
    group = np.arange(count)
    rotations = np.tile(np.eye(3), (count, 1, 1))
    for turn in sorted(turns, key=lambda turn: -turn.matches):
        if group[turn.first] == group[turn.second]:
            continue
        # bring the second one's whole group to where the first one's says it is
        shift = rotations[turn.second].T @ turn.rotation @ rotations[turn.first]
        moved = group == group[turn.second]
        rotations[moved] = rotations[moved] @ shift
        group[moved] = group[turn.first]
    largest = np.bincount(group).argmax()
    placed = views.placed & (group == largest)
    rotations = average_rotations(rotations, [turn for turn in turns if placed[turn.first] and placed[turn.second]])
    poses = np.dstack([rotations, np.zeros((count, 3, 1))])
    return replace(views, poses=poses, placed=placed)
