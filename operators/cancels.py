"""What the buttons have in common that stop a program beside Blender."""

from __future__ import annotations

import bpy

from .program import Program


class Cancels:
    """A mix-in for operators: ``program`` is what they stop."""

    bl_options = {"REGISTER"}
    program: Program

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if not cls.program.running or cls.program.cancelling:
            cls.poll_message_set("It is stopping already" if cls.program.running else "Nothing to cancel")
            return False
        return True

    def execute(self, _context: bpy.types.Context) -> set[str]:
        self.program.cancel()
        return {"FINISHED"}
