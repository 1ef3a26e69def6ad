"""A scene inside out: of a camera that hardly moves while it turns, near things that go one way look much like far
things that go the other way (Necker's cube). Mappers fall for either; adjusted from both sides, one fits better.
"""

from __future__ import annotations

import numpy as np
import pycolmap

from ...exchange.known import Known
from .adjustment import FIRST_LOSS, adjust, robust_cost

NEAR = 0.2
"""Only cameras that stray from their middle by less than this part of the points' median distance are asked."""


def right_side_out(model: pycolmap.Reconstruction, known: Known) -> pycolmap.Reconstruction:
    """`model`, or the same turned inside out where that explains the pictures better, adjusted."""
    images = [model.images[identifier] for identifier in model.reg_image_ids()]
    centers = np.array([image.projection_center() for image in images])
    middle = centers.mean(axis=0)
    distances = np.array([np.linalg.norm(point.xyz - middle) for point in model.points3D.values()])
    if np.linalg.norm(centers - middle, axis=1).max() > NEAR * np.median(distances):
        return model
    adjust(model, FIRST_LOSS, known)
    turned = pycolmap.Reconstruction(model)
    _turn(turned, middle)
    adjust(turned, FIRST_LOSS, known)
    return turned if robust_cost(turned, FIRST_LOSS) < robust_cost(model, FIRST_LOSS) else model


def _turn(model: pycolmap.Reconstruction, middle: np.ndarray) -> None:
    """Send each camera to the other side of the `middle`, and give near points the inverse distance of far ones."""
    for identifier in model.reg_image_ids():
        image = model.images[identifier]
        rotation = image.cam_from_world().rotation.matrix()
        center = 2 * middle - image.projection_center()
        image.frame.rig_from_world = pycolmap.Rigid3d(np.column_stack([rotation, -rotation @ center]))
    rays = {identifier: point.xyz - middle for identifier, point in model.points3D.items()}
    nearness = {identifier: 1 / max(float(np.linalg.norm(ray)), 1e-9) for identifier, ray in rays.items()}
    least, most = np.percentile(list(nearness.values()), [2, 98])
    for identifier, ray in rays.items():
        other = np.clip(least + most - nearness[identifier], least, most)
        model.points3D[identifier].xyz = middle + ray * nearness[identifier] / other
