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


def export_scene(context: bpy.types.Context, holder: Holder, kind: str, path: Path, *, planes: bool) -> list[str]:
    """Write the shot's cameras, track empties, what else hangs on them, and its `planes`, as they stand in the world,
    over the scene's frame range; hidden ones, too. Returns the names of those that are left out, since their collection
    is switched off in `context`'s view layer, or locked. Raises `JobError`, also where no camera is left.
    """
    reason = missing_exporter(kind)
    if reason:
        raise JobError("no_exporter", f"{reason}.")
    scene, layer = context.scene, context.view_layer
    wanted = [thing for thing in scene.objects if _belongs(thing, holder, planes)]
    layer.update()  # what was switched off just now may still be listed, and asking about it crashes Blender
    here = set(layer.objects)
    with _selected(layer, [thing for thing in wanted if thing in here]) as chosen:
        left_out = [thing.name for thing in wanted if thing not in chosen]
        if not any(thing.type == "CAMERA" for thing in chosen):
            text = "The view layer has no camera of this shot: switch its collections on, and unlock them"
            raise JobError("nothing", f"{text} ({next(iter(left_out), holder.name)}).")
        try:
            _write(kind, path, scene, planes)
        except RuntimeError as failure:
            raise JobError("output", f"Cannot write '{path}': {str(failure).strip()}.") from None
    if not path.is_file():
        raise JobError("output", f"Cannot write '{path}'.")
    return left_out


def _write(kind: str, path: Path, scene: bpy.types.Scene, planes: bool) -> None:
    """By what the viewport shows: planes that are left out of renders are exported all the same."""
    if kind == "USD":
        bpy.ops.wm.usd_export(
            filepath=str(path),
            selected_objects_only=True,
            export_animation=True,
            export_materials=planes,
            evaluation_mode="VIEWPORT",
        )
        return
    bpy.ops.wm.alembic_export(
        filepath=str(path),
        selected=True,
        flatten=True,
        start=scene.frame_start,
        end=scene.frame_end,
        evaluation_mode="VIEWPORT",
        as_background_job=False,
    )


def _belongs(thing: bpy.types.Object, holder: Holder, planes: bool) -> bool:
    role = str(thing.get(ROLE, ""))
    if thing.get(ID) != holder.collection[ID]:
        return False
    return role == SHOT_CAMERA or role.startswith(("camera:", EMPTY)) or (planes and role.startswith(PLANE))


@contextmanager
def _selected(layer: bpy.types.ViewLayer, wanted: list[bpy.types.Object]) -> Iterator[list[bpy.types.Object]]:
    """Those of `wanted` that can be selected, and nothing else selected, meanwhile: the exporters know nothing else.

    What hides an object or keeps it from being selected is switched off meanwhile; a collection's own switches stay.
    """
    everything = list(layer.objects)  # not asked while it is gone through: some answers make the layer's list anew
    before = [thing for thing in everything if thing.select_get(view_layer=layer)]
    active = layer.objects.active
    hidden = [(thing, thing.hide_select, thing.hide_viewport, thing.hide_get(view_layer=layer)) for thing in wanted]
    try:
        for thing in wanted:
            if thing.library is None:
                thing.hide_select = thing.hide_viewport = False
            thing.hide_set(False, view_layer=layer)
        for thing in everything:
            thing.select_set(thing in wanted, view_layer=layer)
        yield [thing for thing in wanted if thing.select_get(view_layer=layer)]
    finally:
        for thing in wanted:
            thing.select_set(False, view_layer=layer)
        for thing in before:
            thing.select_set(True, view_layer=layer)
        for thing, unselectable, switched_off, unseen in hidden:
            thing.hide_set(unseen, view_layer=layer)
            if thing.library is None:
                thing.hide_select, thing.hide_viewport = unselectable, switched_off
        layer.objects.active = active
