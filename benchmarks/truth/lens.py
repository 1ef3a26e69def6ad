"""A known distortion on a rendered pinhole picture, and the exact depth behind every distorted pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt_blender.evaluation.depth_maps import sample_depth
from vggt_blender.geometry.cameras import Lens, rays_of_pixels

OVERSAMPLING = 1.5


@dataclass(frozen=True)
class Overscan:
    """A pinhole picture that holds all that the distorted lens sees, and where each distorted pixel lies in it.

    ``pixels`` (h, w, 2) are positions in the overscanned picture, pixel centres at + 0.5.
    """

    lens: Lens
    width: int
    height: int
    pixels: NDArray[np.float64]


def overscan(lens: Lens, width: int, height: int) -> Overscan:
    """The pinhole picture to render for a `width` x `height` frame through `lens`."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    rays = rays_of_pixels(np.stack([columns, rows], axis=-1), lens)
    if not np.isfinite(rays).all():
        raise ValueError("the distortion folds over inside the picture")
    focal = lens.fx * OVERSAMPLING
    half_width, half_height = (int(np.ceil(np.abs(rays[..., axis]).max() * focal)) + 3 for axis in (0, 1))
    pinhole = Lens(focal, focal, half_width, half_height)
    pixels = rays * focal + [pinhole.cx, pinhole.cy]
    return Overscan(pinhole, 2 * half_width, 2 * half_height, pixels)


def warp_color(picture: NDArray[np.uint8], view: Overscan) -> NDArray[np.uint8]:
    """The distorted frame (h, w, 3) from the overscanned render."""
    softened = cv2.GaussianBlur(picture, (0, 0), 0.3 * OVERSAMPLING)
    x, y = (np.float32(view.pixels[..., axis] - 0.5) for axis in (0, 1))
    return cv2.remap(softened, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def warp_depth(depth: NDArray[np.float32], view: Overscan) -> NDArray[np.float32]:
    """Z depth (h, w) of the distorted pixels: exact on planes, from the nearest sample at edges."""
    return sample_depth(depth, view.pixels).astype(np.float32)


def warp_labels(labels: NDArray[np.uint8], view: Overscan) -> NDArray[np.uint8]:
    """Labels (h, w) of the distorted pixels, from the nearest sample."""
    return labels[np.rint(view.pixels[..., 1] - 0.5).astype(int), np.rint(view.pixels[..., 0] - 0.5).astype(int)]
