"""What the alignment tools have in common: they move a shot's parent empty, and nothing else, by one matrix."""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from ..vggt_blender.scene.alignment import ROOT
from ..vggt_blender.scene.collection import FOLDER, Holder
from ..vggt_blender.scene.stored_paths import full_path, leads_to
from ..vggt_blender.scene.world_frame import find_shot, move_root
from .picks import picked_count, picked_points
from .results import selected_result

Array = NDArray[np.float64]
CHOOSE = {
    2: "Select two points: vertices in Edit Mode, or objects in Object Mode",
    3: "Select three points: vertices in Edit Mode, or objects in Object Mode",
}


def current_shot(context: bpy.types.Context) -> Holder | None:
    """The shot that the tools act on: of several the one that a part is selected of, else the selected result's; None
    where that leaves it open."""
    shot = find_shot(context.scene, context.active_object, context.collection) or _listed_shot(context)
    return shot if shot is not None and shot.find(ROOT) is not None else None


def _listed_shot(context: bpy.types.Context) -> Holder | None:
    result = selected_result(context)
    if result is None:
        return None
    shots = [child for child in context.scene.collection.children_recursive if FOLDER in child]
    found = [shot for shot in shots if leads_to(str(shot[FOLDER]), full_path(result.folder))]
    return Holder(found[0]) if len(found) == 1 else None


def needs_shot(operator: type[bpy.types.Operator], shot: object) -> bool:
    """For `poll`: whether there is a `shot` to work on, else what to do."""
    if shot is None:
        operator.poll_message_set("Select a part of an imported shot")
    return shot is not None


class Aligns:
    """A mix-in for operators: ``points`` is how many the artist has to choose, and `matrix` says where they go."""

    bl_options = {"REGISTER", "UNDO"}
    points = 0

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not needs_shot(cls, current_shot(context)):
            return False
        if cls.points and picked_count(context) != cls.points:
            cls.poll_message_set(CHOOSE[cls.points])
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        shot = current_shot(context)
        points = picked_points(context) if self.points else np.zeros((0, 3))
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        try:
            move_root(shot.find(ROOT), self.matrix(context, shot, points))
        except ValueError as failure:
            self.report({"ERROR"}, str(failure))
            return {"CANCELLED"}
        return {"FINISHED"}

    def matrix(self, context: bpy.types.Context, shot: Holder, points: Array) -> Array:
        """The world-space matrix (4, 4) that carries the shot. Raises `ValueError` with a line for the artist."""
        raise NotImplementedError
