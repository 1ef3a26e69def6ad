"""A lens that zooms although nobody said so: recognised where one focal length explains the pictures clearly worse.

Too long or too short a lens hides much of a zoom (a flatter scene, a camera that moves along its axis), so a solve that
looks good is not believed before it was asked whether a focal length of its own for each frame explains it better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import TypeAlias, TypeVar

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ...exchange.known import Known
from .adjustment import FIRST_LOSS, adjust, placed_cameras, robust_cost, set_focal
from .mapping import MOST_ERROR

WORTH = 0.05
"""Focal lengths of their own must lower the mean robust cost by this part. A zoom of two percent lowers it by a third,
noise and dollies by half a percent at the most."""

LEAST_RANGE = 0.005
"""And they must differ by this part: changes below are breathing that no one sees."""

FEWEST_FRAMES = 4
"""Of fewer frames nothing tells a zoom from a move."""

STIFFNESS = tuple(10.0**power for power in range(-1, 7))
"""Weights of the bend of a focal curve against its noise, from loose to almost straight."""

SMOOTH_WORTH = 0.001
"""A smoother curve may raise the mean robust cost by this part, or by twice what fitting noise gains on average: one
focal length more for every two offsets of an observation."""

MOST_FRAMES = 0.9
"""A solve with one lens that places fewer of the frames is in doubt, whatever it costs."""

MOST_ADJUSTMENTS = 5

MOST_STEP = 0.4
"""Logarithm of the focal length; a lens that changes more from frame to frame is a solve that fell apart."""

Array = NDArray[np.float64]
Model: TypeAlias = pycolmap.Reconstruction
Solved = TypeVar("Solved")


def told_apart(
    plain: Model | None, count: int, map_zoom: Callable[[], Iterable[Model]], known: Known
) -> tuple[Model | None, bool]:
    """The model that explains a shot of `count` frames, and whether its lens zooms.

    `plain` was solved with one lens and is adjusted; where it is in doubt, `map_zoom` solves with one lens a frame, in
    more than one way: two halves of a shot at different scales are a trap for each of them.
    """
    candidates = []
    if plain is not None:
        adjust(plain, FIRST_LOSS, known)
        freed = with_lenses(plain, shared=False)
        settle(freed, known)
        if plain.num_reg_images() >= MOST_FRAMES * count and not asks_for_zoom(freed, plain):
            return plain, False
        candidates.append(freed)
    zoomed = best_zoom([*candidates, *map_zoom()], known, ordered=True)
    if zoomed is None:
        return plain, False
    tied = with_lenses(zoomed, shared=True)
    adjust(tied, FIRST_LOSS, known)
    one = tied if plain is None else better(plain, tied)
    return (zoomed, True) if asks_for_zoom(zoomed, tied) and asks_for_zoom(zoomed, one) else (one, False)


def best_zoom(models: Iterable[Model], known: Known, *, ordered: bool) -> Model | None:
    """The best of `models`, with one lens a frame, once adjusted; None where all of them fell apart."""
    candidates = list(models)
    for model in candidates:
        settle(model, known)
    candidates = [model for model in candidates if not ordered or _is_steady(model)]
    return reduce(better, candidates) if candidates else None


def _is_steady(zoomed: Model) -> bool:
    """Whether no lens jumps from one placed frame to the next."""
    return bool((np.abs(np.diff(np.log(focals(zoomed)))) < MOST_STEP).all())


def settle(zoomed: Model, known: Known) -> None:
    """Adjust until little changes: the way from one focal length to many is a long and flat one."""
    cost = np.inf
    for _ in range(MOST_ADJUSTMENTS):
        adjust(zoomed, FIRST_LOSS, known)
        before, cost = cost, robust_cost(zoomed, FIRST_LOSS)
        if cost > (1 - SMOOTH_WORTH) * before:
            break


def better(first: Model, second: Model) -> Model:
    """The one that holds more frames, or explains them better."""
    frames = [model.num_reg_images() for model in (first, second)]
    if frames[0] != frames[1]:
        return first if frames[0] > frames[1] else second
    of_first, of_second = costs(first, second)
    return first if of_first <= of_second else second


def costs(first: Model, second: Model) -> tuple[float, float]:
    """Mean robust costs over as many observations each: those that only the other one holds are lost on this one."""
    held = [model.compute_num_observations() for model in (first, second)]
    lost = np.log1p((MOST_ERROR / FIRST_LOSS) ** 2)
    totals = [
        robust_cost(model, FIRST_LOSS) * own + lost * (max(held) - own)
        for model, own in zip((first, second), held, strict=True)
    ]
    return totals[0] / max(held), totals[1] / max(held)


def asks_for_zoom(freed: Model, one: Model) -> bool:
    """Whether the lenses of `freed`, one a frame, differ and explain the pictures better than the one of `one`."""
    if freed.num_reg_images() < FEWEST_FRAMES:
        return False
    free_cost, cost = costs(freed, one)
    return focal_range(np.log(focals(freed))) > LEAST_RANGE and free_cost < (1 - WORTH) * cost


def focal_range(log_focals: Array) -> float:
    """By what part the focal lengths differ, a few odd ones left out."""
    return float(np.ptp(np.percentile(log_focals, [5, 95])))


def focals(model: Model) -> Array:
    """Focal lengths (N,) in working pixels of the placed frames in order."""
    return np.array([camera.params[0] for camera in placed_cameras(model)])


def with_lenses(model: Model, *, shared: bool) -> Model:
    """The placed frames of `model` with one lens for all (of the median focal length), or with one each, as it is."""
    return regrouped(model, {identifier: 0 if shared else identifier for identifier in model.reg_image_ids()})


def regrouped(model: Model, lens_of: Mapping[int, int]) -> Model:
    """The placed frames of `model`, those with one `lens_of` their identifiers sharing the lens of the median focal
    length."""
    made = Model()
    images = [model.images[identifier] for identifier in sorted(model.reg_image_ids())]
    length = dict(zip(sorted(model.reg_image_ids()), focals(model), strict=True))
    for lens in sorted({lens_of[image.image_id] for image in images}):
        members = [image for image in images if lens_of[image.image_id] == lens]
        by_length = sorted(members, key=lambda image: length[image.image_id])
        source = model.cameras[by_length[len(members) // 2].camera_id]
        camera = pycolmap.Camera(
            camera_id=members[0].image_id,
            model=source.model,
            width=source.width,
            height=source.height,
            params=source.params,
        )
        made.add_camera_with_trivial_rig(camera)
        for image in members:
            copy = pycolmap.Image(name=image.name, camera_id=camera.camera_id, image_id=image.image_id)
            copy.points2D = pycolmap.Point2DList([pycolmap.Point2D(point.xy) for point in image.points2D])
            made.add_image_with_trivial_frame(copy, image.cam_from_world())
    for point in model.points3D.values():
        made.add_point3D(point.xyz, point.track, point.color)
    return made


def smooth_focals(model: Model, loss: float, known: Known) -> Model:
    """`model`, whose frames follow each other, with the smoothest focal curve that explains it about as well."""

    def held_at(log_focals: Array) -> tuple[Model, float]:
        smoother = Model(model)
        for identifier, value in zip(sorted(model.reg_image_ids()), log_focals, strict=True):
            camera = smoother.cameras[smoother.images[identifier].camera_id]
            set_focal(camera, float(np.exp(value)))
        adjust(smoother, loss, known, probe=True)
        return smoother, robust_cost(smoother, loss)

    curve = np.log(focals(model))
    noise = max(SMOOTH_WORTH, len(curve) / model.compute_num_observations())
    return smoothest(model, (1 + noise) * robust_cost(model, loss), curve, held_at)


def smoothest(
    free: Solved, allowed: float, log_focals: Array, held_at: Callable[[Array], tuple[Solved, float]]
) -> Solved:
    """The solution with the smoothest focal curve near `log_focals` (N,) that costs no more than `allowed`, or `free`.

    Free focal lengths carry the noise of their frames, but a lens is turned by a hand or a motor. `held_at` solves with
    a curve held and says what that costs.
    """
    best, low, high = free, 0, len(STIFFNESS)
    while low < high and len(log_focals) >= FEWEST_FRAMES:  # the cost rises with the stiffness: search by halves
        middle = (low + high) // 2
        found, its_cost = held_at(smoothed(log_focals, STIFFNESS[middle]))
        if its_cost <= allowed:
            best, low = found, middle + 1
        else:
            high = middle
    return best


def smoothed(values: Array, stiffness: float) -> Array:
    """Whittaker's smoother: near `values` (N,), with small second differences."""
    bend = np.diff(np.eye(len(values)), 2, axis=0)
    return np.asarray(np.linalg.solve(np.eye(len(values)) + stiffness * bend.T @ bend, values))
