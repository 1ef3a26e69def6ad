"""End the backend that is kept for the next solve."""

import bpy

from .session import session


class VGGT_OT_free_memory(bpy.types.Operator):
    """End the backend that waits for the next solve, and free the memory that its model takes, a graphics card's too"""

    bl_idname = "vggt.free_memory"
    bl_label = "Free Memory"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if session.tasks or session.client is None:
            cls.poll_message_set("A solve is running" if session.tasks else "No backend is running")
            return False
        return True

    def execute(self, _context: bpy.types.Context) -> set[str]:
        session.close_backend()
        return {"FINISHED"}
