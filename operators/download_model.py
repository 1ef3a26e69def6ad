"""Download a model after its licence has been shown."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..vggt_blender.exchange.messages import JobError
from .backend_setup import setup
from .cancels import Cancels
from .check import WITHOUT_VGGT, check
from .locations import interpreter
from .model_download import OFFLINE, download
from .pump import follow
from .session import notice_of, session


class VGGT_OT_download_model(bpy.types.Operator):
    """Show the model's licence and size, then download it to where the backend keeps its models"""

    bl_idname = "vggt.download_model"
    bl_label = "Download"
    bl_options = {"REGISTER"}

    model: StringProperty(name="Model", description="A model of the list", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if download.running or setup.running:
            cls.poll_message_set("A download is running" if download.running else "The backend is being set up")
            return False
        if check.lacks_vggt():
            cls.poll_message_set(WITHOUT_VGGT)
            return False
        if not bpy.app.online_access:
            cls.poll_message_set(OFFLINE)
            return False
        return True

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(
            self, width=460, title="Download Model", confirm_text="Accept and Download"
        )

    def draw(self, _context: bpy.types.Context) -> None:
        """What is fetched, under which terms, and where it goes."""
        row = self._row()
        if row is None:
            return
        column = self.layout.column()
        column.label(text=row["name"], icon="PACKAGE", translate=False)
        column.label(text=row["licence"], icon="INFO", translate=False)
        column.label(text=f"{row['size'] / 1e9:.1f} GB", icon="DISK_DRIVE", translate=False)
        column.label(text=row["folder"], icon="FILE_FOLDER", translate=False)
        if row["gated"]:
            column.label(
                text="Needs access, asked for on its page, and your own token (never stored here)", icon="LOCKED"
            )
        column.operator("wm.url_open", text="Licence and Model Page", icon="URL").url = row["page"]

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            download.start(interpreter(context), self.model)
        except JobError as failure:
            session.tell(notice_of(failure, about_setup=True))
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        return follow(self, download)

    def _row(self) -> dict[str, Any] | None:
        return next((row for row in check.models() if row["name"] == self.model), None)


class VGGT_OT_cancel_download(Cancels, bpy.types.Operator):
    """Stop the download. What was fetched is kept for the next one"""

    bl_idname = "vggt.cancel_download"
    bl_label = "Cancel Download"
    program = download
