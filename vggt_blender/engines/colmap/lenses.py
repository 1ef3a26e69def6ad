"""Photos of several lenses that nobody told apart: recognised where a lens for each explains them clearly better.

Photos without EXIF are taken for one lens a size. Where that is wrong, the solve hides it well: cameras stand nearer
or farther, and little of it shows in the residual. So it is asked the same as a shot: do lenses of their own explain
the photos better? Then those whose focal lengths are alike share one again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ...exchange.known import Known
from .adjustment import FIRST_LOSS, adjust, placed_cameras, robust_cost
from .mapping import drop_loose_frames
from .zoom import FEWEST_FRAMES, SMOOTH_WORTH, Array, Model, better, costs, focals, regrouped, settle

LEAST_DIFFERENCE = 0.02
"""Photos were taken with one lens where the focal lengths of their own differ by less than this part."""

LENSES_WORTH = 0.05
"""They must lower the mean robust cost by this part. Photos of several lenses came to 0.56-0.85, to 0.08 where two wide
ones among twelve hide behind a solve that went astray; photos of one lens to nothing."""

FEWEST_SEEN = 200
"""Observations a photo on average. A handful that hang together loosely (100) bends to any lens: it came to 0.3-0.4."""

USUAL_FOCALS = 0.3, 10.0
"""Over the longer side. Where one photo's is beyond, too little holds it, and so does no lens of its own."""

ALIKE = 0.03
"""Photos whose focal lengths differ by less from one to the next may share a lens."""

MOST_COST = 0.5
"""Mean robust cost beyond which a solve went astray: detected features that a rigid scene explains came to 0.08-0.3."""

FEW_PHOTOS = (
    "So few photos do not tell whether one lens took them, and their files do not either: the focal length is a guess. "
    "Use the original files with their EXIF, give the focal length, or add photos."
)

Groups = Mapping[int, int]
"""Which lens each image has, by their identifiers."""


def lenses_apart(
    plain: Model | None, count: int, groups: Groups, map_apart: Callable[[], Model | None], known: Known
) -> tuple[Model | None, int]:
    """The model that explains the `count` photos that share anything, and how many lenses it takes.

    `plain` was solved with the lenses of `groups`, images of one size each; where it is in doubt, `map_apart` solves
    with a lens a photo.
    """
    candidates = []
    if plain is not None:
        adjust(plain, FIRST_LOSS, known)
        drop_loose_frames(plain)
        plain = plain if plain.num_reg_images() >= 2 else None
    if plain is not None:
        freed = regrouped(plain, {identifier: identifier for identifier in groups})
        settle(freed, known)
        if not _is_doubtful(plain, freed, count):
            return plain, _lenses_of(plain)
        candidates.append(freed)
    mapped = map_apart()
    if mapped is not None:
        settle(mapped, known)
        drop_loose_frames(mapped)
        candidates.append(mapped)
    candidates = [model for model in candidates if _is_usual(model)]
    if not candidates:
        return plain, 0 if plain is None else _lenses_of(plain)
    apart = candidates[0] if len(candidates) == 1 else better(*candidates)
    tied = regrouped(apart, groups)
    settle(tied, known)
    one = tied if plain is None else better(plain, tied)
    chosen = _with_alike(apart, groups, known) if _asks_for_lenses(apart, one) else one
    return chosen, _lenses_of(chosen)


def _is_usual(model: Model) -> bool:
    sides = [max(camera.width, camera.height) for camera in placed_cameras(model)]
    lengths = focals(model) / sides
    return len(sides) >= 2 and bool(((lengths > USUAL_FOCALS[0]) & (lengths < USUAL_FOCALS[1])).all())


def _is_doubtful(plain: Model, freed: Model, count: int) -> bool:
    if plain.num_reg_images() < count or robust_cost(plain, FIRST_LOSS) > MOST_COST:
        return True
    return _asks_for_lenses(freed, plain)


def _asks_for_lenses(apart: Model, one: Model) -> bool:
    """Whether the lenses of `apart`, one a photo, differ where `one` has one for several, and explain clearly more."""
    placed = [model.num_reg_images() for model in (apart, one)]
    if placed[0] < max(FEWEST_FRAMES, placed[1]) or apart.compute_num_observations() < FEWEST_SEEN * placed[0]:
        return False
    apart_cost, cost = costs(apart, one)
    if placed[0] == placed[1] and apart_cost >= (1 - LENSES_WORTH) * cost:
        return False
    images = sorted(apart.reg_image_ids())
    lenses = np.array([one.images[image].camera_id if image in one.images else 0 for image in images])
    lengths = np.log(focals(apart))
    return any(float(np.ptp(lengths[lenses == lens])) > LEAST_DIFFERENCE for lens in set(lenses))


def _with_alike(apart: Model, groups: Groups, known: Known) -> Model:
    """`apart` with one lens for photos whose focal lengths are alike, where that explains about as much."""
    tied = regrouped(apart, alike(focals(apart), sorted(apart.reg_image_ids()), groups))
    settle(tied, known)
    cost = robust_cost(apart, FIRST_LOSS)
    return tied if robust_cost(tied, FIRST_LOSS) <= (1 + 10 * SMOOTH_WORTH) * cost else apart


def alike(focal: Array, images: list[int], groups: Groups) -> dict[int, int]:
    """Which lens each of `images` has by its `focal` length (N,): those of a group with no gap between share it.

    Lenses are named by the first of their images in the order of the focal lengths.
    """
    lens_of: dict[int, int] = {}
    last: dict[int, tuple[float, int]] = {}
    for row in np.argsort(focal, kind="stable"):
        image, group = images[row], groups[images[row]]
        before, lens = last.get(group, (0.0, image))
        lens = lens if focal[row] < (1 + ALIKE) * before else image
        lens_of[image], last[group] = lens, (float(focal[row]), lens)
    return lens_of


def _lenses_of(model: Model) -> int:
    return len({camera.camera_id for camera in placed_cameras(model)})
