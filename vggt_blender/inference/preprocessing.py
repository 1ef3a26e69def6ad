"""Pictures as the network wants them, and the affine from its pixels back to the source's.

Sizes, rounding and padding follow VGGT's released loader (crop, pad and square modes), whose resize is Pillow's
bicubic; the two axes are scaled by slightly different factors, since sides are rounded to multiples of the patch. All
affines use corner-origin pixels: the centre of the top-left pixel is at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATCH = 14
TARGET = 518
WHITE = 255

Mode = Literal["crop", "pad", "fit"]
"""What is done with a picture's shape: see `prepare`."""


@dataclass(frozen=True)
class NetworkPicture:
    """One picture at the network's size.

    ``pixels`` is (H, W, 3) uint8, ``image_from_network`` (2, 3) the affine from network pixels to source pixels,
    ``content`` the rows and columns (top, bottom, left, right; half-open) that show the picture; the rest is padding.
    """

    pixels: NDArray[np.uint8]
    image_from_network: NDArray[np.float64]
    content: tuple[int, int, int, int]

    def shows_picture(self) -> NDArray[np.bool_]:
        """(H, W): True where the picture is, False where padding is."""
        top, bottom, left, right = self.content
        shown = np.zeros(self.pixels.shape[:2], bool)
        shown[top:bottom, left:right] = True
        return shown


def to_rgb(picture: Image.Image) -> Image.Image:
    """RGB, with RGBA blended over white; other forms of alpha are dropped, as in the released loader."""
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (WHITE,) * 4), picture)
    return picture.convert("RGB")


def network_size(width: int, height: int, mode: Mode, target: int = TARGET) -> tuple[int, int]:
    """Width and height after the resize, before crop and padding. Sides are at least one patch."""

    def rounded(side: int, other: int) -> int:
        return max(PATCH, round(side * (target / other) / PATCH) * PATCH)

    if mode != "crop" and width < height:
        return rounded(width, height), target
    return target, rounded(height, width)


def prepare(picture: Image.Image, mode: Mode = "crop", target: int = TARGET) -> NetworkPicture:
    """One picture in the given `mode`.

    ``crop``: its width at `target`, rows beyond `target` cut off. ``fit``: its longer side at `target`, all of it
    shown. ``pad``: that, padded to a square.
    """
    rgb = to_rgb(picture)
    size = network_size(*rgb.size, mode, target)
    pixels = np.asarray(rgb.resize(size, Image.Resampling.BICUBIC))
    scale = np.array([rgb.size[0] / size[0], rgb.size[1] / size[1]])
    prepared = NetworkPicture(pixels, _affine(scale, (0.0, 0.0)), (0, size[1], 0, size[0]))
    if mode == "pad":
        return pad(prepared, target, target)
    if size[1] > target:
        top = (size[1] - target) // 2
        return NetworkPicture(pixels[top : top + target], _affine(scale, (0.0, -top)), (0, target, 0, size[0]))
    return prepared


def prepare_square(picture: Image.Image, side: int = 1024) -> NetworkPicture:
    """The picture on a black square of its longer side, resized to `side` x `side`."""
    rgb = to_rgb(picture)
    longest = max(rgb.size)
    left, top = (longest - rgb.width) // 2, (longest - rgb.height) // 2
    square = Image.new("RGB", (longest, longest))
    square.paste(rgb, (left, top))
    scale = longest / side
    edges = (top, top + rgb.height, left, left + rgb.width)
    content = (*(round(edge / scale) for edge in edges),)
    pixels = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC))
    return NetworkPicture(pixels, _affine(np.array([scale, scale]), (left / scale, top / scale)), content)  # type: ignore[arg-type]


def pad(picture: NetworkPicture, height: int, width: int) -> NetworkPicture:
    """The picture centred in `height` x `width`, surrounded by white."""
    rows, columns = height - picture.pixels.shape[0], width - picture.pixels.shape[1]
    if rows == 0 and columns == 0:
        return picture
    top, left = rows // 2, columns // 2
    pixels = np.pad(
        picture.pixels, ((top, rows - top), (left, columns - left), (0, 0)), "constant", constant_values=WHITE
    )
    affine = picture.image_from_network.copy()
    affine[:, 2] -= affine[:, :2] @ [left, top]
    content = picture.content
    return NetworkPicture(pixels, affine, (content[0] + top, content[1] + top, content[2] + left, content[3] + left))


def pad_to_common_size(pictures: Sequence[NetworkPicture]) -> list[NetworkPicture]:
    """All pictures at the largest height and width among them."""
    height = max(picture.pixels.shape[0] for picture in pictures)
    width = max(picture.pixels.shape[1] for picture in pictures)
    return [pad(picture, height, width) for picture in pictures]


def choose_mode(sizes: Sequence[tuple[int, int]], target: int = TARGET) -> Mode:
    """``crop`` where nothing would be cut off by it (no picture is taller than wide), else ``pad``.

    ``fit`` for the smaller `target` of a network of our own: such a network has seen pictures of every shape, and
    never a white border.
    """
    if target < TARGET:
        return "fit"
    return "pad" if any(height > width for width, height in sizes) else "crop"


def _affine(scale: NDArray[np.float64], offset: tuple[float, float]) -> NDArray[np.float64]:
    """From network pixels to source pixels, where the resized picture's corner lies at `offset` (x, y)."""
    return np.column_stack([np.diag(scale), -scale * offset])
