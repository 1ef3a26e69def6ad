"""Stop the solve under way."""

import bpy
from bpy.props import StringProperty

from .session import session


class VGGT_OT_cancel(bpy.types.Operator):
    """Stop this solve, running or waiting. Earlier results are kept"""

    bl_idname = "vggt.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    job: StringProperty(description="Which solve; empty: the first", options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if all(task.cancelling for task in session.tasks):
            cls.poll_message_set("It is stopping already" if session.tasks else "Nothing to cancel")
            return False
        return True

    def execute(self, _context: bpy.types.Context) -> set[str]:
        for task in [task for task in session.tasks if self.job in ("", task.job.id)][:1]:
            session.cancel(task)
        return {"FINISHED"}
