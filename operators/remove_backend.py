"""Take the backend's environment away again: what the set-up made, and nothing else."""

import bpy

from ..vggt_blender.backend.setup import is_ours
from ..vggt_blender.exchange.messages import JobError
from .backend_setup import REMOVE, is_busy, setup
from .locations import backend_folder
from .pump import follow
from .session import notice_of, session


class VGGT_OT_remove_backend(bpy.types.Operator):
    """Delete the environment that the set-up made. Results, models and other interpreters stay"""

    bl_idname = "vggt.remove_backend"
    bl_label = "Remove Backend"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if is_busy(cls):
            return False
        if not is_ours(backend_folder(context)):
            cls.poll_message_set("The set-up has made nothing that could be removed")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(
            self, event, title="Remove Backend", message=str(backend_folder(context)), confirm_text="Remove"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            setup.start([str(backend_folder(context)), REMOVE])
        except JobError as failure:
            session.tell(notice_of(failure, about_setup=True))
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        return follow(self, setup)
