"""Structure from motion with pycolmap, and dense depth by plane sweep: no weights, no GPU, no network."""

import cv2  # noqa: F401  first: loaded after pycolmap, its PNG and JPEG code corrupts the heap
import pycolmap

from .reconstruct import USES_MASKS, reconstruct

__all__ = ["USES_MASKS", "reconstruct"]

# What it tells of its work would fill the console of whoever solves, or refines another engine's result.
pycolmap.logging.minloglevel = int(pycolmap.logging.Level.ERROR.value)
