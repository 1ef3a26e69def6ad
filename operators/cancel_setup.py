"""Stop the set-up under way."""

import bpy

from .backend_setup import setup
from .cancels import Cancels


class VGGT_OT_cancel_setup(Cancels, bpy.types.Operator):
    """Stop the set-up. What was fetched is kept for the next one"""

    bl_idname = "vggt.cancel_setup"
    bl_label = "Cancel Set-Up"
    program = setup
