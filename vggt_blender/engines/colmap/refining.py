"""The last bundle adjustment: sharpened tracks, robust losses, no more lens than the pictures ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap

from ...exchange.known import Known
from .adjustment import FIRST_LOSS, WEAK, Center, adjust, focal_hold, plainest_lens, residuals
from .bending import SHARP_WORTH, bend
from .features import Gray
from .mapping import drop_loose_frames
from .shutter import Shutter, find_shutter, places, put, straighten
from .solution import Observations, Solution, solution_of
from .subpixel import sharpen

LEAST_LOSS = 0.1
"""Working pixels at which the Cauchy loss at the least stops trusting an observation of sharpened tracks."""

FEWEST_SHARP = 0.4
"""Below this share of observations that can be sharpened (blur, noise) all stay as they were found."""

WEAK_LENS = (
    "The pictures say little about the focal length: others explain them about as well. "
    "Give the focal length or the field of view where it is known."
)

WEAK_ZOOM = (
    "The pictures say little about the focal lengths of this zoom: others, or one lens, explain them nearly as well. "
    "Give the focal length or the field of view if the lens did not zoom."
)


@dataclass(frozen=True)
class Adjusted:
    """The ``model``; the share of its observations that were ``sharpened``; and ``focal_hold``: by what part its
    robust cost rises where the focal length is one percent off (None where the focal length is known). ``loss`` is the
    robust loss's scale that the adjustment ended with, in working pixels; ``shutter`` is a rolling one."""

    model: pycolmap.Reconstruction
    sharpened: float
    focal_hold: float | None
    loss: float
    shutter: Shutter | None

    @property
    def lens_is_weak(self) -> bool:
        """Whether other focal lengths would explain the pictures about as well."""
        return self.focal_hold is not None and self.focal_hold < WEAK


def refine(
    model: pycolmap.Reconstruction,
    scales: Sequence[float],
    picture: Callable[[int], Gray],
    known: Known,
    tell: Callable[[int, int], None],
    *,
    center: Center = Center.MIDDLE,
    shutter: Shutter | None = None,
    ordered: bool = False,
) -> Adjusted:
    """Adjust `model` to sub-pixel agreement, its centre as free as `center` says, its frames bent by the `shutter`.

    `picture` gives the working picture of a position, `scales` its working pixels per source pixel. Of frames that are
    `ordered`, a rolling shutter is found that only sharp observations tell.
    """
    seen = {} if shutter is None else places(model)
    _adjust(model, FIRST_LOSS, known, center, shutter)
    straight = {} if shutter is None else places(model)
    put(model, seen)  # where the pictures are to be looked at
    before = solution_of(model, scales)
    observations, share = sharpen(before, scales, picture, tell)
    if share >= FEWEST_SHARP:
        sharp = pycolmap.Reconstruction(model)
        _take_over(sharp, before, observations, scales)
        _adjust(sharp, FIRST_LOSS / 4, known, center, shutter)
        sharp, loss = _finished_sharp(sharp, known, center)
        found = shutter
        if ordered and shutter is None and center is Center.MIDDLE and not known.zooms:
            found = _slight_shutter(sharp, loss, known)
            if found is not None:
                straighten(sharp, found, loss, known)
                sharp, loss = _finished_sharp(sharp, known, center)
        if sharp.num_reg_images() == len(before.placed):  # a frame that little holds may hang on what was left out
            return Adjusted(sharp, share, focal_hold(sharp, loss, known, center), loss, found)
    put(model, straight)
    model = _finished(model, FIRST_LOSS, known, center)
    return Adjusted(model, 0.0, focal_hold(model, FIRST_LOSS, known, center), FIRST_LOSS, shutter)


def _finished_sharp(
    sharp: pycolmap.Reconstruction, known: Known, center: Center
) -> tuple[pycolmap.Reconstruction, float]:
    """`sharp` adjusted to its end, and the robust loss's scale that suits it."""
    loss = max(LEAST_LOSS, 2 * float(np.median(residuals(sharp))))
    return _finished(sharp, loss, known, center), loss


def _slight_shutter(sharp: pycolmap.Reconstruction, loss: float, known: Known) -> Shutter | None:
    if bend(sharp, loss) < SHARP_WORTH:
        return None
    return find_shutter(sharp, sharp.num_reg_images(), loss, known)


def _adjust(model: pycolmap.Reconstruction, loss: float, known: Known, center: Center, shutter: Shutter | None) -> None:
    """Adjust `model`; behind a `shutter`, its observations are straight ones then."""
    if shutter is None:
        adjust(model, loss, known, center=center)
    else:
        straighten(model, shutter, loss, known)


def _finished(model: pycolmap.Reconstruction, loss: float, known: Known, center: Center) -> pycolmap.Reconstruction:
    if known.distortion is None:
        model = plainest_lens(model, loss, known, center)
    else:
        adjust(model, loss, known, center=center)
    drop_loose_frames(model)
    return model


def _take_over(
    model: pycolmap.Reconstruction, before: Solution, sharpened: Sequence[Observations], scales: Sequence[float]
) -> None:
    """Move the model's observations to where they were sharpened, and delete those that were left out."""
    row_of = {identifier: row for row, identifier in enumerate(sorted(model.points3D.keys()))}
    for position in before.placed:
        image = model.images[position + 1]
        seen = sharpened[position]
        places_of = dict(zip(seen.points.tolist(), seen.xy * scales[position], strict=True))
        for index in list(image.get_observation_point2D_idxs()):
            point = image.points2D[index]
            place = places_of.get(row_of[point.point3D_id])
            if place is None:
                model.delete_observation(image.image_id, index)
            else:
                point.xy = place
