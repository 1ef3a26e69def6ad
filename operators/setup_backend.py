"""Make the backend's environment in a folder of its own, never in Blender's Python."""

import bpy
from bpy.app.translations import pgettext_iface as iface_
from bpy.props import BoolProperty

from ..vggt_blender.exchange.messages import JobError
from .backend_setup import OFFLINE, is_busy, setup, size_text
from .locations import backend_folder, own_python, preferences, wheels_folder
from .pump import follow
from .session import notice_of, session


class VGGT_OT_setup_backend(bpy.types.Operator):
    """Make a Python environment for the backend and install what it needs there. Blender's own Python stays as it is"""

    bl_idname = "vggt.setup_backend"
    bl_label = "Set Up Backend"
    bl_options = {"REGISTER"}

    with_vggt: BoolProperty(
        name="With VGGT",
        description="Install PyTorch too, which the VGGT engine needs. COLMAP works without",
        default=True,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if is_busy(cls):
            return False
        if preferences(context) is None:
            cls.poll_message_set("Enable the add-on in the preferences first")
            return False
        if wheels_folder(context) is None and not bpy.app.online_access:
            cls.poll_message_set(OFFLINE)
            return False
        return True

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(
            self, width=420, title="Set Up Backend", confirm_text="Set Up"
        )

    def draw(self, context: bpy.types.Context) -> None:
        """What happens on OK: what is fetched, how large it is, and where it goes."""
        column = self.layout.column()
        column.prop(self, "with_vggt")
        column.label(text=iface_("Takes {}").format(size_text(self.with_vggt)), icon="DISK_DRIVE", translate=False)
        column.label(text=str(backend_folder(context)), icon="FILE_FOLDER", translate=False)
        wheels = wheels_folder(context)
        if wheels is None:
            column.label(text="Fetched from the Python Package Index and PyTorch's", icon="INTERNET")
        else:
            column.label(text=iface_("Taken from {}").format(wheels), icon="PACKAGE", translate=False)

    def execute(self, context: bpy.types.Context) -> set[str]:
        wheels = wheels_folder(context)
        try:
            arguments = [str(backend_folder(context)), "--python", str(own_python())]
            arguments += [] if self.with_vggt else ["--without-vggt"]
            arguments += [] if wheels is None else ["--find-links", str(wheels)]
            setup.start(arguments)
        except JobError as failure:
            session.tell(notice_of(failure, about_setup=True))
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        return follow(self, setup)
