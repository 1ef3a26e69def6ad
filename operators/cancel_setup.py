"""Stop the set-up under way."""

import bpy

from .backend_setup import setup


class VGGT_OT_cancel_setup(bpy.types.Operator):
    """Stop the set-up. What was fetched is kept for the next one"""

    bl_idname = "vggt.cancel_setup"
    bl_label = "Cancel Set-Up"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if not setup.running or setup.cancelling:
            cls.poll_message_set("It is stopping already" if setup.running else "Nothing to cancel")
            return False
        return True

    def execute(self, _context: bpy.types.Context) -> set[str]:
        setup.cancel()
        return {"FINISHED"}
