"""Paths that stay true wherever the .blend is saved: what lies beside it is stored relative to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy


def travelling(path: Path, blend: str) -> str:
    """`path` as it is stored in the file `blend`: relative where it lies in the same folder or below."""
    parent = Path(blend).parent
    return bpy.path.relpath(str(path), start=str(parent)) if blend and path.is_relative_to(parent) else str(path)


class SavedPaths:
    """Rewrites the paths in all scenes while a file is being saved, for its new place.

    `before_save` is what goes into the file; `after_save` puts right what stays in memory, which is another file where
    a copy was saved or saving failed.
    """

    def __init__(self) -> None:
        self._absolute: dict[tuple[str, str], str] = {}

    def before_save(self, target: str) -> None:
        """`target` is the file's path; empty: Blender's start-up file."""
        self._absolute = {key: bpy.path.abspath(_stored(*key)) for key in _keys()}
        self._write(target)

    def after_save(self) -> None:
        self._write(bpy.data.filepath)
        self._absolute = {}

    def _write(self, blend: str) -> None:
        for (scene, what), absolute in self._absolute.items():
            stored = travelling(Path(absolute), blend)
            if stored != _stored(scene, what):
                _store(scene, what, stored)


paths = SavedPaths()


def _keys() -> Iterator[tuple[str, str]]:
    """Each path as scene and path in its settings: the results', and what the user keeps relative."""
    for scene in bpy.data.scenes:
        if scene.library is not None:
            continue
        settings = scene.vggt
        for position in range(len(settings.results)):
            yield scene.name, f"results[{position}].folder"
        for name in ("source", "mask", "model"):
            if getattr(settings, name).startswith("//"):
                yield scene.name, name


def _stored(scene: str, what: str) -> str:
    return bpy.data.scenes[scene].vggt.path_resolve(what)


def _store(scene: str, what: str, stored: str) -> None:
    settings = bpy.data.scenes[scene].vggt
    owner, _, name = what.rpartition(".")
    picked = [entry.name for entry in settings.files]  # a source that is set by hand forgets them
    setattr(settings.path_resolve(owner) if owner else settings, name, stored)
    if what == "source":
        for file in picked:
            settings.files.add().name = file
