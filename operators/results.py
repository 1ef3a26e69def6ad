"""The list of results in the scene: which entry is selected, and a reconstruction's own entry."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import bpy

from ..vggt_blender.exchange.reconstruction import DOCUMENT, Reconstruction
from .saving import travelling


def selected_result(context: bpy.types.Context) -> bpy.types.PropertyGroup | None:
    """The selected entry, or None."""
    settings = context.scene.vggt
    inside = 0 <= settings.active_result < len(settings.results)
    return settings.results[settings.active_result] if inside else None


def needs_result(operator: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """A `poll` for operators that work on the selected entry."""
    if selected_result(context) is None:
        operator.poll_message_set("Select a result first")
        return False
    return True


def drop_selected(context: bpy.types.Context) -> None:
    """Take the selected entry off the list."""
    settings = context.scene.vggt
    settings.results.remove(settings.active_result)
    settings.active_result = max(0, min(settings.active_result, len(settings.results) - 1))


def list_result(scene: bpy.types.Scene, reconstruction: Reconstruction) -> None:
    """Make `reconstruction` the selected entry of the scene's list, once."""
    results = scene.vggt.results
    folder = reconstruction.folder.absolute()
    positions = [n for n, entry in enumerate(results) if Path(bpy.path.abspath(entry.folder)) == folder]
    entry = results[positions[0]] if positions else results.add()
    entry.name = folder.name
    entry.folder = travelling(folder, bpy.data.filepath)
    entry.engine = str(reconstruction.engine.get("name", ""))
    entry.total = len(reconstruction.frames)
    entry.registered = sum(frame.registered for frame in reconstruction.frames)
    residual = reconstruction.residual
    entry.residual = -1.0 if residual is None else residual
    entry.date = datetime.fromtimestamp((folder / DOCUMENT).stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    scene.vggt.active_result = positions[0] if positions else len(results) - 1
