"""The losses of VGGT's training as pure functions: nothing here knows of files, models or devices.

Shapes everywhere: B scenes, S frames, H x W pixels. Poses are OpenCV ``camera_from_world``.
"""

from .camera import camera_loss
from .dense import dense_loss
from .normalization import normalize_scene
from .tracks import track_loss

__all__ = ["camera_loss", "dense_loss", "normalize_scene", "track_loss"]
