"""Put the last message away."""

import bpy

from .session import session


class VGGT_OT_dismiss(bpy.types.Operator):
    """Put this message away"""

    bl_idname = "vggt.dismiss"
    bl_label = "Dismiss"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return session.notice is not None

    def execute(self, _context: bpy.types.Context) -> set[str]:
        session.notice = None
        return {"FINISHED"}
