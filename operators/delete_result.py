"""Delete a result's files; nothing but a reconstruction is ever deleted."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..vggt_blender.exchange.documents import read_json
from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.exchange.reconstruction import FORMAT
from ..vggt_blender.exchange.staging import ARRAYS, DOCUMENT, remove_empty
from ..vggt_blender.exchange.undistorted import FOLDER as STRAIGHT
from ..vggt_blender.exchange.undistorted import straight_files
from ..vggt_blender.scene.drawn_masks import remove_drawn_masks
from .add_moving_plane import FOLDER as DEPTH
from .drawn_mask import mask_folders
from .results import drop_selected, needs_result, selected_result


class VGGT_OT_delete_result(bpy.types.Operator):
    """Delete the files of the selected result from the disk. What was imported from it stays. Cannot be undone"""

    bl_idname = "vggt.delete_result"
    bl_label = "Delete from Disk"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return needs_result(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        folder = Path(bpy.path.abspath(selected_result(context).folder))
        return context.window_manager.invoke_confirm(
            self, event, title="Delete from Disk", message=str(folder), confirm_text="Delete", icon="WARNING"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = Path(bpy.path.abspath(selected_result(context).folder))
        try:
            delete_reconstruction(folder)
        except JobError as failure:
            self.report({"ERROR"}, failure.message)
            return {"CANCELLED"}
        drop_selected(context)
        return {"FINISHED"}


def delete_reconstruction(folder: Path) -> None:
    """Delete the files of the reconstruction in `folder`, and the folder where nothing else is in it.

    Raises `JobError` where it is none, or where a file cannot be deleted.
    """
    try:
        document = read_json(folder / DOCUMENT)
        ours = isinstance(document, dict) and document.get("format") == FORMAT
    except (OSError, ValueError):
        ours = False
    if not ours:
        raise JobError(
            "not_found", f"'{folder}' holds no reconstruction: nothing was deleted. Remove it from the list."
        )
    try:
        _delete_made_from_it(folder)
        for name in (*ARRAYS, DOCUMENT):  # the document last: a deletion that was stopped can be finished
            (folder / name).unlink(missing_ok=True)
    except OSError as failure:
        reason = failure.strerror or failure
        raise JobError("output", f"'{failure.filename}' cannot be deleted: {reason}.") from None
    remove_empty([folder])


def _delete_made_from_it(folder: Path) -> None:
    """Straightened plates, the moving plane's depth and drawn masks: what the panel wrote for it, by its names."""
    for name, files in (
        (STRAIGHT, straight_files(folder / STRAIGHT)),
        (DEPTH, [*(folder / DEPTH).glob("depth.*.exr")]),
    ):
        for file in files:
            file.unlink(missing_ok=True)
        remove_empty([folder / name])
    for drawn in mask_folders(folder):
        remove_drawn_masks(drawn)
