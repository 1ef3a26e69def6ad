"""A shot through Blender's own exporters: USD and Alembic, where this Blender was built with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

from ..exchange.messages import JobError
from .cameras import SHOT_CAMERA
from .collection import ID, ROLE, Holder
from .depth_planes import ROLE as PLANE
from .track_objects import EMPTY

SUFFIXES = {"USD": ".usdc", "ALEMBIC": ".abc"}


def missing_exporter(kind: str) -> str:
    """Why this Blender cannot write `kind`, ``USD`` or ``ALEMBIC``; empty where it can."""
    built = bpy.app.build_options.usd if kind == "USD" else bpy.app.build_options.alembic
    name = "USD" if kind == "USD" else "Alembic"
    return "" if built else f"This Blender was built without {name}: Blender's own builds have it"


def export_scene(scene: bpy.types.Scene, holder: Holder, kind: str, path: Path, *, planes: bool) -> int:
    """Write the shot's cameras, track empties, what else hangs on them, and its `planes`, as they stand in the world,
    over the scene's frame range. Returns how many objects. Raises `JobError`."""
    reason = missing_exporter(kind)
    if reason:
        raise JobError("no_exporter", f"{reason}.")
    chosen = [thing for thing in scene.objects if _belongs(thing, holder, planes)]
    with _selected(scene, chosen):
        try:
            if kind == "USD":
                bpy.ops.wm.usd_export(
                    filepath=str(path), selected_objects_only=True, export_animation=True, export_materials=planes
                )
            else:
                bpy.ops.wm.alembic_export(
                    filepath=str(path),
                    selected=True,
                    flatten=True,
                    start=scene.frame_start,
                    end=scene.frame_end,
                    as_background_job=False,
                )
        except RuntimeError as failure:
            raise JobError("output", f"Cannot write '{path}': {str(failure).strip()}.") from None
    if not path.is_file():
        raise JobError("output", f"Cannot write '{path}'.")
    return len(chosen)


def _belongs(thing: bpy.types.Object, holder: Holder, planes: bool) -> bool:
    role = str(thing.get(ROLE, ""))
    if thing.get(ID) != holder.collection[ID]:
        return False
    return role == SHOT_CAMERA or role.startswith(("camera:", EMPTY)) or (planes and role.startswith(PLANE))


@contextmanager
def _selected(scene: bpy.types.Scene, chosen: list[bpy.types.Object]) -> Iterator[None]:
    """Only `chosen` selected, meanwhile; the exporters know nothing else."""
    layer = scene.view_layers[0]
    before = [thing for thing in layer.objects if thing.select_get(view_layer=layer)]
    active = layer.objects.active
    with bpy.context.temp_override(scene=scene, view_layer=layer):
        for thing in before:
            thing.select_set(False, view_layer=layer)
        for thing in chosen:
            thing.select_set(True, view_layer=layer)
        try:
            yield
        finally:
            for thing in chosen:
                thing.select_set(False, view_layer=layer)
            for thing in before:
                thing.select_set(True, view_layer=layer)
            layer.objects.active = active
