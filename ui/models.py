"""The models that VGGT can run with: what each costs, under which terms, and whether it is here."""

from typing import Any

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..operators.check import check
from ..operators.model_download import OFFLINE, download
from .progress import draw_progress
from .text import draw_wrapped

LOCKED = (
    "A model with a lock needs your own Hugging Face token, from 'hf auth login' or the variable HF_TOKEN. This add-on "
    "never stores it."
)


def draw_models(layout: bpy.types.UILayout, context: bpy.types.Context, width: float) -> None:
    """One box with a part for each model; where the backend has not been asked, what to do about it."""
    column = layout.box().column()
    column.label(text="Models", icon="PACKAGE")
    models = check.models()
    if not models:
        draw_wrapped(column, "Press Check to list the models.", width)
    for row in models:
        _draw_model(column, row, width)
    if models and not bpy.app.online_access and not all(row["path"] for row in models):
        draw_wrapped(column, iface_(OFFLINE) + ".", width, icon="INTERNET_OFFLINE")
    if any(row["gated"] for row in models):
        draw_wrapped(column, LOCKED, width, icon="LOCKED")
    column.prop(context.scene.vggt, "model", text="Use a File", placeholder="The best model that is here")


def _draw_model(layout: bpy.types.UILayout, row: dict[str, Any], width: float) -> None:
    split = layout.split(factor=0.7)
    icon = "CHECKMARK" if row["path"] else "LOCKED" if row["gated"] else "IMPORT"
    size = iface_("on this machine") if row["path"] else f"{row['size'] / 1e9:.1f} GB"
    split.label(text=f"{row['name']}, {size}", icon=icon, translate=False)
    if download.running and download.name == row["name"]:
        split.operator("vggt.cancel_download", text="Cancel", icon="CANCEL")
        stage = "Stopping" if download.cancelling else download.stage.capitalize()
        draw_progress(layout, stage, download.done, download.total, " MB")
    elif not row["path"]:
        split.operator("vggt.download_model", icon="IMPORT").model = row["name"]
    draw_wrapped(layout, row["licence"], width, icon="BLANK1")
    draw_wrapped(layout, row["path"] or row["folder"], width, icon="BLANK1")
