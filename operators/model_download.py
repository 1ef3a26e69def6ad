"""The download of a model under way, by the backend's own verb."""

from __future__ import annotations

from pathlib import Path

from .check import check
from .program import Program

OFFLINE = (
    "Blender may not use the network: allow it in Preferences > System > Network, or download the file elsewhere and "
    "use it as the model"
)


class ModelDownload(Program):
    """At most one download. ``name`` is the model's."""

    name = ""

    def start(self, interpreter: Path, name: str) -> None:
        """Fetch the model `name` with the backend's Python. Raises `JobError` where that does not start."""
        self.name = self.title = name
        self._interpreter = interpreter
        self.run(interpreter, ("-m", "vggt_blender", "models", "download", name, "--messages", "json"))

    def succeeded(self, path: Path) -> None:
        check.close()
        check.ask(self._interpreter)


download = ModelDownload()
