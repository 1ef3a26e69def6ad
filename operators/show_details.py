"""What is behind the one line of an error or warning, for those who want to know."""

import bpy
from bpy.props import IntProperty

from .session import session
from .task import Notice

LINES = 40
WIDTH = 700


class _AboutNotice:
    """A mix-in for operators on one of the messages."""

    index: IntProperty(description="Which of the messages, from the first", min=0, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if not any(notice.detail for notice in session.notices):
            cls.poll_message_set("There is nothing more to show")
            return False
        return True

    @property
    def notice(self) -> Notice | None:
        return session.notices[self.index] if self.index < len(session.notices) else None


class VGGT_OT_show_details(_AboutNotice, bpy.types.Operator):
    """Show what else is known about this message"""

    bl_idname = "vggt.show_details"
    bl_label = "Details"
    bl_options = {"REGISTER"}

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_popup(self, width=WIDTH)

    def draw(self, _context: bpy.types.Context) -> None:
        notice = self.notice
        if notice is None:
            return
        column = self.layout.column(align=True)
        column.label(text=notice.message, icon="ERROR" if notice.failed else "INFO")
        column.separator()
        for line in notice.detail.splitlines()[-LINES:]:
            column.label(text=line, translate=False)
        column.separator()
        column.operator("vggt.copy_details", icon="COPYDOWN").index = self.index

    def execute(self, _context: bpy.types.Context) -> set[str]:
        if self.notice is not None:
            self.report({"INFO"}, self.notice.detail)
        return {"FINISHED"}


class VGGT_OT_copy_details(_AboutNotice, bpy.types.Operator):
    """Copy the message and its details to the clipboard"""

    bl_idname = "vggt.copy_details"
    bl_label = "Copy Details"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        if self.notice is not None:
            context.window_manager.clipboard = f"{self.notice.message}\n\n{self.notice.detail}"
            self.report({"INFO"}, "Copied.")
        return {"FINISHED"}
