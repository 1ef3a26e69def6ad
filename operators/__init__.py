"""One file for each thing the user can do: gather, call one function, report."""

import bpy

from . import pump, shot_tools
from .add_point import VGGT_OT_add_point
from .cancel import VGGT_OT_cancel
from .cancel_setup import VGGT_OT_cancel_setup
from .check_backend import VGGT_OT_check_backend
from .delete_result import VGGT_OT_delete_result
from .diagnostics import VGGT_OT_copy_diagnostics
from .dismiss import VGGT_OT_dismiss
from .download_model import VGGT_OT_cancel_download, VGGT_OT_download_model
from .free_memory import VGGT_OT_free_memory
from .import_reconstruction import VGGT_OT_import_reconstruction, draw_menu
from .level import VGGT_OT_level
from .mark_survey_point import VGGT_OT_mark_survey_point
from .open_folder import VGGT_OT_open_folder
from .pick_source import VGGT_OT_pick_source
from .remove_backend import VGGT_OT_remove_backend
from .remove_result import VGGT_OT_remove_result
from .reset_alignment import VGGT_OT_reset_alignment
from .set_direction import VGGT_OT_set_direction
from .set_floor import VGGT_OT_set_floor
from .set_origin import VGGT_OT_set_origin
from .set_scale import VGGT_OT_set_scale
from .setup_backend import VGGT_OT_setup_backend
from .show_details import VGGT_OT_copy_details, VGGT_OT_show_details
from .solve import VGGT_OT_solve
from .use_camera_preset import VGGT_OT_use_camera_preset
from .use_clip_tracks import VGGT_OT_use_clip_tracks

CLASSES = (
    VGGT_OT_pick_source,
    VGGT_OT_solve,
    VGGT_OT_cancel,
    VGGT_OT_import_reconstruction,
    VGGT_OT_open_folder,
    VGGT_OT_remove_result,
    VGGT_OT_delete_result,
    VGGT_OT_show_details,
    VGGT_OT_copy_details,
    VGGT_OT_dismiss,
    VGGT_OT_check_backend,
    VGGT_OT_setup_backend,
    VGGT_OT_cancel_setup,
    VGGT_OT_remove_backend,
    VGGT_OT_download_model,
    VGGT_OT_cancel_download,
    VGGT_OT_free_memory,
    VGGT_OT_copy_diagnostics,
    VGGT_OT_use_clip_tracks,
    VGGT_OT_mark_survey_point,
    VGGT_OT_use_camera_preset,
    VGGT_OT_level,
    VGGT_OT_add_point,
    VGGT_OT_set_floor,
    VGGT_OT_set_scale,
    VGGT_OT_set_direction,
    VGGT_OT_set_origin,
    VGGT_OT_reset_alignment,
    *shot_tools.CLASSES,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(draw_menu)
    pump.register()


def unregister() -> None:
    pump.unregister()
    bpy.types.TOPBAR_MT_file_import.remove(draw_menu)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
