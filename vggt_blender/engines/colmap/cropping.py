"""A picture that is not the whole sensor's: reframed by an editor, or moved about by electronic stabilisation.

The lens's axis then meets it elsewhere than in its middle. A solve that does not know it leans, at residuals that look
good, or takes it for a zoom; so every shot is asked whether another centre explains it clearly better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ...exchange.known import Known
from .adjustment import FIRST_LOSS, Center, adjust, placed_cameras, robust_cost, thinned
from .zoom import FEWEST_FRAMES, MOST_FRAMES, WORTH, settle, with_lenses

LEAST_OFFSET, MOST_OFFSET = 0.01, 0.5
"""Of the picture's longer side: a centre nearer to the middle makes no difference that anyone sees, and one outside of
the picture is a solve that fell apart."""

MOST_DRIFT = 0.04
"""Stabilisation moves its window about the middle: one that is elsewhere most of the time is something else, like the
lines of a rolling shutter."""

CROPPED = {
    Center.ELSEWHERE: "The lens's axis is not in the middle of the picture, as in a plate that was reframed: its place "
    "was solved for. Where there is the whole plate, solve that.",
    Center.WANDERS: "The picture moves about on the sensor, as electronic stabilisation does it: every frame has "
    "a lens axis of its own. Where there is the plate from before, solve that.",
}

Model: TypeAlias = pycolmap.Reconstruction


def find_center(plain: Model | None, count: int, known: Known) -> tuple[Model | None, Center]:
    """The model that explains a shot of `count` frames best among those of one focal length, and where its centre is.

    `plain` was solved and adjusted with the centre in the middle. Of one lens, a centre elsewhere, a zoom and a
    centre that wanders each has more freedom than those before it, and must explain the shot clearly better. A zoom is
    left to `told_apart`.
    """
    if plain is None or plain.num_reg_images() < max(FEWEST_FRAMES, MOST_FRAMES * count):
        return plain, Center.MIDDLE
    sample = thinned(plain)
    adjust(sample, FIRST_LOSS, known)
    if _best(sample, known)[1] is Center.MIDDLE:
        return plain, Center.MIDDLE
    return _best(plain, known)


def _best(plain: Model, known: Known) -> tuple[Model, Center]:
    """The best of the adjusted `plain` and of what is freer."""
    cost = robust_cost(plain, FIRST_LOSS)
    elsewhere, wanders = _moved(plain, Center.ELSEWHERE, known), _moved(plain, Center.WANDERS, known)
    if min(elsewhere.cost, wanders.cost) >= (1 - WORTH) * cost:
        return plain, Center.MIDDLE
    best, center = plain, Center.MIDDLE
    for candidate in (elsewhere, _zoomed(plain, known), wanders):
        if candidate.cost < (1 - WORTH) * cost:
            best, center, cost = candidate.model, candidate.center, candidate.cost
    return (plain if center is Center.MIDDLE else best), center


@dataclass(frozen=True)
class _Candidate:
    model: Model
    center: Center
    cost: float


def _moved(plain: Model, center: Center, known: Known) -> _Candidate:
    """`plain` with its centre free, or one a frame; at no price where that is nonsense."""
    moved = Model(plain) if center is Center.ELSEWHERE else with_lenses(plain, shared=False)
    adjust(moved, FIRST_LOSS, known, center=center)
    return _Candidate(moved, center, robust_cost(moved, FIRST_LOSS) if _is_sane(moved, center) else np.inf)


def _zoomed(plain: Model, known: Known) -> _Candidate:
    if known.holds_focal:
        return _Candidate(plain, Center.MIDDLE, np.inf)
    zoomed = with_lenses(plain, shared=False)
    settle(zoomed, known)
    return _Candidate(zoomed, Center.MIDDLE, robust_cost(zoomed, FIRST_LOSS))


def _is_sane(moved: Model, center: Center) -> bool:
    offsets = offsets_of(moved)
    if center is Center.WANDERS:
        usual = np.median(offsets, axis=0)
        return bool(np.abs(usual).max() < MOST_DRIFT and np.abs(offsets - usual).max() > LEAST_OFFSET)
    return bool(LEAST_OFFSET < np.abs(offsets).max() < MOST_OFFSET)


def offsets_of(model: Model) -> NDArray[np.float64]:
    """Where the centre of each placed frame lies from the middle, (N, 2) in parts of the longer side."""
    return np.array(
        [
            [
                (camera.principal_point_x - camera.width / 2) / max(camera.width, camera.height),
                (camera.principal_point_y - camera.height / 2) / max(camera.width, camera.height),
            ]
            for camera in placed_cameras(model)
        ]
    )
