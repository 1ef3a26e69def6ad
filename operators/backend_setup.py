"""The set-up program under way: it makes or removes the backend's environment, beside Blender and in its own time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..vggt_blender.backend.setup import SIZES_GB
from .check import check
from .locations import own_python
from .program import Program
from .session import session

MODULE = "vggt_blender.backend.setup"
REMOVE = "--remove"
OFFLINE = (
    "Blender may not use the network: allow it in Preferences > System > Network, or choose a folder of wheels in "
    "the add-on's preferences"
)


class BackendSetup(Program):
    """At most one run of the set-up program."""

    title = "Set-up"

    def start(self, arguments: Sequence[str]) -> None:
        """Run the program with Blender's own Python. Raises `JobError` where that does not start.

        The backend and what was known about it are let go: their environment is about to change.
        """
        session.close_backend()
        check.close()
        self._removes = REMOVE in arguments
        self.run(own_python(), ("-m", MODULE, *arguments))

    def succeeded(self, path: Path) -> None:
        if not self._removes:
            check.ask(path)


def is_busy(operator: type[bpy.types.Operator]) -> bool:
    """For `poll`: whether the environment cannot change now, and why."""
    if setup.running or session.task is not None:
        operator.poll_message_set("The set-up is running" if setup.running else "A solve is running")
        return True
    return False


def size_text(with_vggt: bool) -> str:
    """What the set-up needs on disk, for people."""
    if not with_vggt:
        return iface_("about {} GB on disk").format(SIZES_GB["colmap"])
    both = iface_("about {} GB on disk, {:g} GB with an NVIDIA graphics card")
    return both.format(SIZES_GB["cpu"], SIZES_GB["cuda"])


setup = BackendSetup()
