"""Structure from motion with pycolmap, and dense depth by plane sweep: no weights, no GPU, no network."""

import cv2  # noqa: F401  first: loaded after pycolmap, its PNG and JPEG code corrupts the heap

from .reconstruct import USES_MASKS, reconstruct

__all__ = ["USES_MASKS", "reconstruct"]
