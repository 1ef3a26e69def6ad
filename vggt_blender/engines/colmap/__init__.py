"""Structure from motion with pycolmap, and dense depth by plane sweep: no weights, no GPU, no network."""

from .reconstruct import USES_MASKS, reconstruct

__all__ = ["USES_MASKS", "reconstruct"]
