"""What is behind the one line of an error or warning, for those who want to know."""

import bpy

from .session import session

LINES = 40
WIDTH = 700


class VGGT_OT_show_details(bpy.types.Operator):
    """Show what else is known about this message"""

    bl_idname = "vggt.show_details"
    bl_label = "Details"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if session.notice is None or not session.notice.detail:
            cls.poll_message_set("There is nothing more to show")
            return False
        return True

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_popup(self, width=WIDTH)

    def draw(self, _context: bpy.types.Context) -> None:
        notice = session.notice
        if notice is None:
            return
        column = self.layout.column(align=True)
        column.label(text=notice.message, icon="ERROR" if notice.failed else "INFO")
        column.separator()
        for line in notice.detail.splitlines()[-LINES:]:
            column.label(text=line, translate=False)
        column.separator()
        column.operator("vggt.copy_details", icon="COPYDOWN")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        self.report({"INFO"}, session.notice.detail)
        return {"FINISHED"}


class VGGT_OT_copy_details(bpy.types.Operator):
    """Copy the message and its details to the clipboard"""

    bl_idname = "vggt.copy_details"
    bl_label = "Copy Details"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return VGGT_OT_show_details.poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = f"{session.notice.message}\n\n{session.notice.detail}"
        self.report({"INFO"}, "Copied.")
        return {"FINISHED"}
