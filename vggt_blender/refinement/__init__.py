"""Cameras made better by the pictures themselves, or left alone: matches, tracks, bundle adjustment, and a judge."""

from .report import RefinementReport
from .run import refine

__all__ = ["RefinementReport", "refine"]
