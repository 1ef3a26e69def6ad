"""Cameras made better by the pictures themselves, or left alone: matches, tracks, bundle adjustment, and a judge."""

import cv2  # noqa: F401  first: loaded after pycolmap, its PNG and JPEG code corrupts the heap

from .report import RefinementReport
from .run import refine

__all__ = ["RefinementReport", "refine"]
