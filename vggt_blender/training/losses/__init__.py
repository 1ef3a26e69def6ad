"""The losses of VGGT's training, and more that help a small network, as pure functions.

Nothing here knows of files or devices. Shapes everywhere: B scenes, S frames, H x W pixels. Poses are OpenCV
``camera_from_world``.
"""

from .camera import camera_loss
from .dense import dense_loss, log_depth_loss
from .matching import matching_loss
from .normalization import normalize_scene
from .pairs import pair_loss
from .tracks import track_loss

__all__ = ["camera_loss", "dense_loss", "log_depth_loss", "matching_loss", "normalize_scene", "pair_loss", "track_loss"]
