"""Panels, properties and preferences: they draw what is there and decide nothing."""

import bpy

from . import properties, shot_panels
from .alignment import VGGT_PT_alignment
from .hand_tracks import VGGT_PT_hand_tracks
from .lens import VGGT_MT_camera_presets, VGGT_PT_lens
from .panel import VGGT_PT_options, VGGT_PT_results, VGGT_PT_shot
from .preferences import VGGT_AP_preferences
from .results import VGGT_UL_results

CLASSES = (
    properties.VGGT_PG_file,
    properties.VGGT_PG_result,
    properties.VGGT_PG_known,
    properties.VGGT_PG_settings,
    VGGT_AP_preferences,
    VGGT_UL_results,
    VGGT_PT_shot,
    VGGT_PT_options,
    VGGT_MT_camera_presets,
    VGGT_PT_lens,
    VGGT_PT_hand_tracks,
    VGGT_PT_results,
    *shot_panels.CLASSES,
    VGGT_PT_alignment,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    properties.register()
    shot_panels.register()


def unregister() -> None:
    shot_panels.unregister()
    properties.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
