"""VGGT Matchmove: photos and footage into a Blender scene."""

from __future__ import annotations


def register() -> None:
    from . import operators, ui

    operators.register()
    ui.register()


def unregister() -> None:
    from . import operators, ui

    ui.unregister()
    operators.unregister()
