"""Put the last message away."""

import bpy
from bpy.props import IntProperty

from .session import session


class VGGT_OT_dismiss(bpy.types.Operator):
    """Put this message away"""

    bl_idname = "vggt.dismiss"
    bl_label = "Dismiss"
    bl_options = {"REGISTER"}

    index: IntProperty(description="Which of the messages, from the first", min=0, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return bool(session.notices)

    def execute(self, _context: bpy.types.Context) -> set[str]:
        if self.index < len(session.notices):
            session.notices.pop(self.index)
        return {"FINISHED"}
