"""Endless multi-view scenes with exact truth, ray-cast in torch on whatever device trains.

World axes: z up, the floor at z = 0, lengths in metres or so (the losses take the scale away). Cameras are OpenCV's;
image coordinates put the centre of the top-left pixel at (0.5, 0.5), the principal point at (W/2, H/2).
"""

from .generator import SceneConfig, SceneGenerator
from .pool import CHUNK, ScenePool

__all__ = ["CHUNK", "SceneConfig", "SceneGenerator", "ScenePool"]
