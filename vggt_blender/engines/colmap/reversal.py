"""A scene inside out: of a camera that hardly moves while it turns, near things that go one way look much like far
things that go the other way (Necker's cube), and mappers fall for either. Adjusted from both sides the right one is
cheaper, or else the matches tell: inside out, many of their points would have to lie behind the cameras.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ...exchange.known import Known
from .adjustment import FIRST_LOSS, adjust, robust_cost, thinned
from .features import Features
from .matching import VerifiedPair

NEAR = 0.2
"""Cameras that stray from their middle by more than this part of the points' median distance are not in doubt."""

MOST_BEHIND, MOST_COST = 0.02, 1.2
"""A share of the matches behind their cameras that speaks against a side (13 % inside out, 0.6 % right side out); the
other may then cost so much more, since its observations are those that fitted the first."""

WORTH = 0.02
"""Else it has to cost less by this part."""

LEAST_PARALLAX = 0.5
"""Working pixels; with less, noise decides on which side of the cameras a point lies."""

Array = NDArray[np.float64]


def right_side_out(
    model: pycolmap.Reconstruction, features: Sequence[Features], pairs: Sequence[VerifiedPair], known: Known
) -> pycolmap.Reconstruction:
    """`model`, or the same turned inside out and adjusted, where that explains better what `pairs` match."""
    if _stray(model) > NEAR:
        return model
    adjust(model, FIRST_LOSS, known)
    sample = thinned(model)
    in_doubt = share_behind(model, features, pairs) > MOST_BEHIND
    if in_doubt or _right_side(sample, features, pairs, known) is not sample:
        return _right_side(model, features, pairs, known)
    return model


def _right_side(
    model: pycolmap.Reconstruction, features: Sequence[Features], pairs: Sequence[VerifiedPair], known: Known
) -> pycolmap.Reconstruction:
    """The adjusted `model` or its other side."""
    turned = pycolmap.Reconstruction(model)
    _turn(turned)
    adjust(turned, FIRST_LOSS, known)
    behind, other_behind = (share_behind(side, features, pairs) for side in (model, turned))
    cost, other_cost = (robust_cost(side, FIRST_LOSS) for side in (model, turned))
    if other_behind < behind / 2 and behind > MOST_BEHIND:
        return turned if other_cost < MOST_COST * cost else model
    return turned if other_behind <= behind and other_cost < (1 - WORTH) * cost else model


def _stray(model: pycolmap.Reconstruction) -> float:
    """How far the cameras lie from their middle at the most, in parts of the points' median distance from there."""
    centers = np.array([model.images[identifier].projection_center() for identifier in model.reg_image_ids()])
    middle = centers.mean(axis=0)
    distances = [float(np.linalg.norm(point.xyz - middle)) for point in model.points3D.values()]
    return float(np.linalg.norm(centers - middle, axis=1).max() / np.median(distances)) if distances else np.inf


def share_behind(model: pycolmap.Reconstruction, features: Sequence[Features], pairs: Sequence[VerifiedPair]) -> float:
    """The share of matches with parallax whose rays would meet behind the first camera of their pair."""
    behind = total = 0
    placed = set(model.reg_image_ids())
    for pair in pairs:
        if not {pair.first + 1, pair.second + 1} <= placed:
            continue
        here, there = model.images[pair.first + 1], model.images[pair.second + 1]
        rows = np.asarray(pair.geometry.inlier_matches)
        first = _rays(model, here, features[pair.first].xy[rows[:, 0]])
        second = _rays(model, there, features[pair.second].xy[rows[:, 1]])
        move = (there.cam_from_world() * here.cam_from_world().inverse()).matrix()
        turned = first @ move[:, :3].T
        across = np.cross(second, turned)  # second is parallel to depth * turned + move
        depth = -(across * np.cross(second, move[:, 3])).sum(axis=1)
        angle = np.linalg.norm(across, axis=1) / np.linalg.norm(second, axis=1) / np.linalg.norm(turned, axis=1)
        seen = angle * model.cameras[here.camera_id].mean_focal_length() > LEAST_PARALLAX
        behind, total = behind + int((depth[seen] < 0).sum()), total + int(seen.sum())
    return behind / max(total, 1)


def _rays(model: pycolmap.Reconstruction, image: pycolmap.Image, xy: Array) -> Array:
    return np.column_stack([model.cameras[image.camera_id].cam_from_img(xy), np.ones(len(xy))])


def _turn(model: pycolmap.Reconstruction) -> None:
    """Send each camera to the other side of their middle, and give near points the inverse distance of far ones."""
    images = [model.images[identifier] for identifier in model.reg_image_ids()]
    middle = np.mean([image.projection_center() for image in images], axis=0)
    for image in images:
        rotation = image.cam_from_world().rotation.matrix()
        center = 2 * middle - image.projection_center()
        image.frame.rig_from_world = pycolmap.Rigid3d(np.column_stack([rotation, -rotation @ center]))
    rays = {identifier: point.xyz - middle for identifier, point in model.points3D.items()}
    nearness = {identifier: 1 / max(float(np.linalg.norm(ray)), 1e-9) for identifier, ray in rays.items()}
    least, most = np.percentile(list(nearness.values()), [2, 98])
    for identifier, ray in rays.items():
        other = np.clip(least + most - nearness[identifier], least, most)
        model.points3D[identifier].xyz = middle + ray * nearness[identifier] / other
