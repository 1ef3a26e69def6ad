"""One picture file as pixels: every kind of file, depth of bits and orientation that a still may come in."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from .display_curve import DisplayCurve, sample_luminance
from .exif import focal_pixels

# Pillow warns above half of the size that it refuses; the refusal alone matters here, and has a line of its own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")

_NOT_FOR_PILLOW = frozenset({".exr", ".hdr", ".dpx"})
_SWAPS_SIDES = frozenset({5, 6, 7, 8})
_WHITE = 255


class UnreadableError(Exception):
    """The file cannot be used; the text says why, to follow the file's name."""


@dataclass(frozen=True)
class Picture:
    """``rgb`` (H, W, 3) is uint8 sRGB, or float32 scene-linear; ``opaque`` (H, W) None where nothing is transparent."""

    rgb: NDArray[Any]
    opaque: NDArray[np.bool_] | None

    def display(self, curve: DisplayCurve) -> NDArray[np.uint8]:
        """sRGB bytes (H, W, 3)."""
        return curve(self.rgb) if self.rgb.dtype == np.float32 else self.rgb


@dataclass(frozen=True)
class Probe:
    """What the door knows of a picture after one look: its size as shown, its lens, its light if it is linear, and the
    width over the height of its pixels where the header (EXR, DPX) has it."""

    width: int
    height: int
    focal_px: float | None
    transparent: bool
    luminance: NDArray[np.float32] | None
    pixel_aspect: float = 1.0


def probe_picture(path: Path) -> Probe:
    """Decode the whole file once, cheaply where the format allows it. Raises `UnreadableError`."""
    if path.suffix.lower() not in _NOT_FOR_PILLOW:
        jpeg = _probe_jpeg(path)
        if jpeg is not None:
            return jpeg
    picture = read_picture(path)
    height, width = picture.rgb.shape[:2]
    luminance = sample_luminance(picture.rgb) if picture.rgb.dtype == np.float32 else None
    aspect = _header(path)[2] if path.suffix.lower() in _NOT_FOR_PILLOW else 1.0
    return Probe(width, height, _focal(path, width, height), picture.opaque is not None, luminance, aspect)


def stated_size(path: Path) -> tuple[int, int] | None:
    """Width and height as the file's header has them, orientation applied; None where it has no readable header."""
    if path.suffix.lower() in _NOT_FOR_PILLOW:
        return _size_by_ffmpeg(path)
    try:
        with Image.open(path) as image:
            turned = image.format != "TIFF" and image.getexif().get(0x0112) in _SWAPS_SIDES  # Pillow turns TIFF itself
            return (image.height, image.width) if turned else image.size
    except Exception:  # a damaged file raises whatever its damaged part raises
        return _size_by_ffmpeg(path)


def read_picture(path: Path) -> Picture:
    """Decode `path`, with its orientation applied and transparency laid over white. Raises `UnreadableError`."""
    _check_file(path)
    if path.suffix.lower() in _NOT_FOR_PILLOW:
        return _read_without_pillow(path)
    try:
        with Image.open(path) as image:
            return _from_pillow(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:  # kinds of TIFF that Pillow does not know
        return _read_without_pillow(path)
    except Image.DecompressionBombError:
        raise _too_large() from None
    except Exception as failure:  # a damaged file raises whatever its damaged part raises
        raise UnreadableError(f"the file is damaged ({failure})") from None


def _check_file(path: Path) -> None:
    try:
        if path.stat().st_size == 0:
            raise UnreadableError("the file is empty")
    except OSError as failure:
        raise UnreadableError(failure.strerror or str(failure)) from None


def _too_large() -> UnreadableError:
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
    return UnreadableError(f"it has more than {limit} megapixels; scale it down first")


def _probe_jpeg(path: Path) -> Probe | None:
    """A JPEG decoded at an eighth of its size shows whether it is whole; None for other formats."""
    _check_file(path)
    try:
        with Image.open(path) as image:
            if image.format not in ("JPEG", "MPO"):
                return None
            width, height = image.size
            image.draft(None, (width // 8, height // 8))
            image.load()
            exif = image.getexif()
            focal = focal_pixels(exif.get_ifd(0x8769), width, height)
            if exif.get(0x0112) in _SWAPS_SIDES:
                width, height = height, width
            return Probe(width, height, focal, transparent=False, luminance=None)
    except Image.DecompressionBombError:
        raise _too_large() from None
    except UnidentifiedImageError:
        return None
    except Exception as failure:  # a damaged file raises whatever its damaged part raises
        raise UnreadableError(f"the file is damaged ({failure})") from None


def _focal(path: Path, width: int, height: int) -> float | None:
    try:
        with Image.open(path) as image:
            return focal_pixels(image.getexif().get_ifd(0x8769), width, height)
    except Exception:  # the pixels are fine; strange metadata is no reason to lose them
        return None


def _from_pillow(image: Image.Image) -> Picture:
    if image.mode == "F":
        return Picture(_three_channels(np.asarray(image, np.float32)), None)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Picture(_three_channels(_bytes_of_16_bit(np.asarray(image))), None)
    if not image.has_transparency_data:
        return Picture(np.asarray(image.convert("RGB")), None)
    image = image.convert("RGBA")
    opaque = np.asarray(image.getchannel("A")) > 127
    blended = Image.alpha_composite(Image.new("RGBA", image.size, (_WHITE,) * 4), image).convert("RGB")
    return Picture(np.asarray(blended), None if opaque.all() else opaque)


def _bytes_of_16_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    return ((values.clip(0, 65535).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _three_channels(values: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(values[..., None], 3, axis=2)


def _read_without_pillow(path: Path) -> Picture:
    pixels = None if path.suffix.lower() == ".dpx" else _decode_opencv(path)
    if pixels is None:
        pixels = _decode_ffmpeg(path)
    if pixels is None:
        raise UnreadableError("it is not a picture, or is damaged")
    if pixels.dtype == np.uint16:
        pixels = _bytes_of_16_bit(pixels)
    elif pixels.dtype != np.uint8:
        pixels = pixels.astype(np.float32)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return Picture(_three_channels(pixels.reshape(pixels.shape[:2])), None)
    rgb = np.ascontiguousarray(pixels[..., :3])
    if pixels.shape[2] < 4:
        return Picture(rgb, None)
    return _over_white(rgb, pixels[..., 3])


def _over_white(rgb: NDArray[Any], alpha: NDArray[Any]) -> Picture:
    if rgb.dtype == np.uint8:
        share = alpha[..., None].astype(np.float32) / _WHITE
        blended: NDArray[Any] = (rgb * share + _WHITE * (1 - share) + 0.5).astype(np.uint8)
    else:  # premultiplied, as OpenEXR has it
        share = alpha[..., None].clip(0, 1)
        blended = rgb + (1 - share)
    opaque = share[..., 0] > 0.5
    return Picture(blended, None if opaque.all() else opaque)


def _decode_opencv(path: Path) -> NDArray[Any] | None:
    """(H, W) or (H, W, 3 or 4) in RGB order, any depth; None where OpenCV cannot."""
    import cv2

    try:  # from memory: OpenCV's own file access does not know every file name on Windows
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, OSError):
        return None
    if pixels is None or pixels.ndim == 2:
        return pixels
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _size_by_ffmpeg(path: Path) -> tuple[int, int] | None:
    width, height, _ = _header(path)
    return (width, height) if width else None


def _header(path: Path) -> tuple[int, int, float]:
    """Width, height and pixel aspect as FFmpeg reads the header of `path`; (0, 0, 1) where it cannot."""
    import av

    try:
        with av.open(str(path)) as container:
            stated = container.streams.video[0].codec_context
            return stated.width, stated.height, float(stated.sample_aspect_ratio or 1)
    except (av.error.FFmpegError, OSError, IndexError):
        return 0, 0, 1.0


def _decode_ffmpeg(path: Path) -> NDArray[Any] | None:
    import av

    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            if frame.format.name.startswith("gbr") and "f32" in frame.format.name:
                return frame.to_ndarray()
            return frame.to_ndarray(format="rgb48le")
    except (av.error.FFmpegError, StopIteration, IndexError, ValueError):
        return None
