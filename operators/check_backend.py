"""Ask the backend what it can do on this machine."""

import time

import bpy

from ..vggt_blender.exchange.messages import JobError
from . import pump
from .backend_setup import setup
from .check import check
from .locations import interpreter


class VGGT_OT_check_backend(bpy.types.Operator):
    """Ask the backend for its versions, devices and engines"""

    bl_idname = "vggt.check_backend"
    bl_label = "Check"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if check.running:
            cls.poll_message_set("The check is running")
            return False
        if setup.running:
            cls.poll_message_set("The backend is being set up")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            check.start(interpreter(context))
        except JobError as failure:
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        pump.watch()
        while bpy.app.background and not check.step():
            time.sleep(0.05)
        return {"FINISHED"}
