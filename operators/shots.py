"""What the tools of an imported shot share: the shot, its reconstruction, and saying what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.exchange.placing import placed
from ..vggt_blender.exchange.reconstruction import Reconstruction, load_reconstruction
from ..vggt_blender.geometry.alignment import Similarity
from ..vggt_blender.scene.alignment import ROOT, over_old_solve, place_of, solved_cameras
from ..vggt_blender.scene.collection import FOLDER, KIND, Holder
from ..vggt_blender.scene.timeline import Timeline
from .aligning import current_shot, needs_shot


def shot_reconstruction(shot: Holder) -> Reconstruction:
    """The shot's reconstruction, read again, in the world of the cameras that are in the scene. Raises `JobError`."""
    reconstruction = load_reconstruction(_folder(shot))
    return placed(reconstruction, _over_old_solve(shot, reconstruction))


def shot_in_the_scene(shot: Holder) -> tuple[Reconstruction, Similarity]:
    """The shot's reconstruction, read again, and what carries it to where the artist's alignment puts it.

    Raises `JobError`.
    """
    reconstruction = load_reconstruction(_folder(shot))
    return reconstruction, place_of(shot.find(ROOT)).after(_over_old_solve(shot, reconstruction))


def _folder(shot: Holder) -> Path:
    return Path(bpy.path.abspath(str(shot.collection.get(FOLDER, ""))))


def _over_old_solve(shot: Holder, reconstruction: Reconstruction) -> Similarity:
    return over_old_solve(reconstruction, solved_cameras(shot, reconstruction, Timeline.of(reconstruction)))


def shot_size(shot: Holder) -> float:
    """How large things are in the shot's own world: its empty is drawn a fifth as large."""
    return float(shot.find(ROOT).empty_display_size) * 5.0  # type: ignore[union-attr]


class NeedsShot:
    """A mix-in for operators on the current shot: `work` does it, a `JobError` becomes one line for the artist."""

    bl_options = {"REGISTER", "UNDO"}
    needs_footage = False

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        shot = current_shot(context)
        if not needs_shot(cls, shot):
            return False
        if cls.needs_footage and shot.collection.get(KIND) == "images":
            cls.poll_message_set("This needs a video or an image sequence: separate photos are no shot")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.work(context, current_shot(context))
        except JobError as failure:
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        return {"FINISHED"}

    def work(self, context: bpy.types.Context, shot: Holder) -> Any:
        """Do it. Raises `JobError` with a line for the artist."""
        raise NotImplementedError
