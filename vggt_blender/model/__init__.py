"""VGGT, our own implementation: torch only, no file access, exact to the official weights."""

from .chunks import Chunks
from .config import VGGTConfig
from .pose import decode_pose, encode_pose
from .vggt import HEADS, VGGT, Features

__all__ = ["HEADS", "VGGT", "Chunks", "Features", "VGGTConfig", "decode_pose", "encode_pose"]
