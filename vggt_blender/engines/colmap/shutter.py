"""A rolling shutter: lines are read one after the other, each from where the camera is by then.

The poses of the neighbouring frames tell where that is. What a line sees is moved to where the middle line's pose would
see it, everything is adjusted, and so on until nothing moves: what is left is a solve of straight frames, whose poses
are those of the middle lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ...exchange.known import Known
from ...geometry.cameras import invert_pose
from ...geometry.rotations import rotation_matrix, rotation_vector
from .adjustment import Center, adjust, robust_cost, thinned
from .bending import bend
from .zoom import FEWEST_FRAMES, MOST_FRAMES, with_lenses

FIRST_READOUT, MOST_READOUT = 0.4, 1.2
"""Of the time between two frames: a part to ask with which way the lines are read, and more than any camera takes."""

CLOSE = 0.02
"""To this part of the time between two frames the readout is searched for."""

GOLDEN = (5**0.5 - 1) / 2

WORTH = 0.05
"""A rolling shutter must lower the robust cost by this part, and by half of what an affine map a frame does."""

ROUNDS = 3
"""Straightening and adjusting in turn; each round leaves a small part of the error of the one before."""

NEAR = 3
"""Frames from which a motion is taken lie at most so many apart: polynomials through more of them swing."""

ROLLING = (
    "A rolling shutter bends the frames: each was read within {}. The cameras allow for it, and are those of the "
    "middle lines. The plate itself stays bent: Set Up Compositing lets Cycles render alike, as far as it can; or "
    "remove the rolling shutter from the plate first."
)

Array = NDArray[np.float64]
Model: TypeAlias = pycolmap.Reconstruction
Motion: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""From times (N,), in frames from a frame's own, to turns (N, 3, 3) of its camera and steps (N, 3) of its centre."""
Places: TypeAlias = dict[int, tuple[list[int], Array]]
"""By a frame's identifier: which of its ``points2D`` see a point of the solve, and where, (N, 2) in working pixels."""


@dataclass(frozen=True)
class Shutter:
    """``readout``: the part of the time between two frames in which one is read, from the first line to the last, or,
    if negative, from the last to the first. ``axis``: 1 if lines are rows, 0 if they are columns."""

    readout: float
    axis: int

    def __str__(self) -> str:
        ways = ("left to right", "right to left"), ("top to bottom", "bottom to top")
        return f"{abs(self.readout):.2f} of the time between two frames, {ways[self.axis][self.readout < 0]}"


def find_shutter(model: Model, count: int, loss: float, known: Known) -> Shutter | None:
    """The rolling shutter that explains `model`, adjusted with `loss`, better than none; None where none does.

    Where few of the shot's `count` frames are placed, the trouble is another one. And a zoom, or a plate that moves
    about on the sensor, is no rolling shutter, though there is one for each that explains some of it.
    """
    if model.num_reg_images() < max(FEWEST_FRAMES, MOST_FRAMES * count):
        return None
    sample = thinned(model)
    adjust(sample, loss, known)

    def cost(shutter: Shutter) -> float:
        straight = Model(sample)
        straighten(straight, shutter, loss, known)
        return robust_cost(straight, loss)

    way = min((Shutter(sign * FIRST_READOUT, axis) for axis in (1, 0) for sign in (1, -1)), key=cost)
    sign = 1 if way.readout > 0 else -1
    found = Shutter(sign * _lowest(lambda readout: cost(Shutter(sign * readout, way.axis)), MOST_READOUT), way.axis)
    allowed = (1 - max(WORTH, bend(sample, loss) / 2)) * robust_cost(sample, loss)
    if not CLOSE < abs(found.readout) < MOST_READOUT - CLOSE or (left := cost(found)) >= allowed:
        return None
    return found if left < _least_cost_of_others(sample, loss, known) else None


def _least_cost_of_others(plain: Model, loss: float, known: Known) -> float:
    """What it costs at the least if every frame has a focal length, or a centre, of its own."""
    wanders = with_lenses(plain, shared=False)
    adjust(wanders, loss, known, center=Center.WANDERS)
    if known.holds_focal:
        return robust_cost(wanders, loss)
    zoomed = with_lenses(plain, shared=False)
    adjust(zoomed, loss, known)
    return min(robust_cost(wanders, loss), robust_cost(zoomed, loss))


def _lowest(cost: Callable[[float], float], most: float) -> float:
    """Where in 0 to `most` the `cost` is lowest, to `CLOSE`, by golden sections."""
    low, high = 0.0, most
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = cost(left), cost(right)
    while high - low > CLOSE:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = cost(right)
    return (low + high) / 2


def straighten(model: Model, shutter: Shutter, loss: float, known: Known) -> None:
    """Adjust `model` to what its frames would see without the `shutter`; there its observations are then, too."""
    seen = places(model)
    for _ in range(ROUNDS):
        _move(model, seen, shutter)
        adjust(model, loss, known)


def places(model: Model) -> Places:
    """Where the placed frames of `model` see its points."""
    found = {}
    for identifier in model.reg_image_ids():
        image = model.images[identifier]
        rows = list(image.get_observation_point2D_idxs())
        found[identifier] = rows, np.array([image.points2D[row].xy for row in rows]).reshape(-1, 2)
    return found


def put(model: Model, seen: Places) -> None:
    """Move the observations of `model` to where they are in `seen`."""
    for identifier, (rows, xy) in seen.items():
        for row, place in zip(rows, xy, strict=True):
            model.images[identifier].points2D[row].xy = place


def _move(model: Model, seen: Places, shutter: Shutter) -> None:
    """Move the observations of `model`, which the pictures show where `seen` says, to where each frame's middle line
    would have shown them."""
    straight = {}
    for identifier, motion in _motions(model).items():
        image = model.images[identifier]
        camera, (rows, xy) = model.cameras[image.camera_id], seen[identifier]
        world = np.array([model.points3D[image.points2D[row].point3D_id].xyz for row in rows]).reshape(-1, 3)
        time = shutter.readout * (xy[:, shutter.axis] / (camera.width, camera.height)[shutter.axis] - 0.5)
        pose = image.cam_from_world().matrix()
        turn, step = motion(time)
        local = world @ pose[:, :3].T + pose[:, 3]
        there = np.einsum("nij,nj->ni", turn, local - step)
        moved = xy - (camera.img_from_cam(there) - camera.img_from_cam(local))
        straight[identifier] = rows, np.where(np.isfinite(moved), moved, xy)
    put(model, straight)


def _motions(model: Model) -> dict[int, Motion]:
    """How each placed frame's camera moves about the time of that frame: by the frames next to it, as polynomials."""
    numbers = sorted(model.reg_image_ids())
    poses = {number: model.images[number].cam_from_world().matrix() for number in numbers}
    found = {}
    for place, number in enumerate(numbers):
        reach = min(NEAR, max(2, min(place, len(numbers) - 1 - place)))
        near = numbers[max(place - reach, 0) : place + reach + 1]
        others = {other - number: poses[other] for other in near if 0 < abs(other - number) <= reach}
        if others:
            found[number] = _motion(poses[number], others)
    return found


def _motion(pose: Array, others: dict[int, Array]) -> Motion:
    """By the poses of some frames at other times; in the axes of the camera."""
    times = np.array(list(others), np.float64)
    turns = np.array([rotation_vector(other[:, :3] @ pose[:, :3].T) for other in others.values()])
    steps = np.array([pose[:, :3] @ invert_pose(other)[:, 3] + pose[:, 3] for other in others.values()])
    powers = np.arange(1, len(times) + 1)
    terms = np.linalg.solve(times[:, None] ** powers, np.concatenate([turns, steps], axis=1))

    def at(time: Array) -> tuple[Array, Array]:
        moved = np.asarray(time[:, None] ** powers @ terms, np.float64)
        return rotation_matrix(moved[:, :3]), moved[:, 3:]

    return at
