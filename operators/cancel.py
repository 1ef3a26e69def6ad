"""Stop the solve under way."""

import bpy

from .session import session


class VGGT_OT_cancel(bpy.types.Operator):
    """Stop the solve. Earlier results are kept"""

    bl_idname = "vggt.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if session.task is None or session.task.cancelling:
            cls.poll_message_set("Nothing to cancel" if session.task is None else "It is stopping already")
            return False
        return True

    def execute(self, _context: bpy.types.Context) -> set[str]:
        session.cancel()
        return {"FINISHED"}
