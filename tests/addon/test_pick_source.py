"""Choosing the source: what Blender's file browser hands over, and what is made of it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    folder = tmp_path / "plates"
    folder.mkdir()
    for name in ("a.0009.png", "a.0010.png", "a.0011.png", "b.0010.png", "plain.png", "clip_01.mp4", "clip_02.mp4"):
        (folder / name).touch()
    return folder


def picked(bpy: ModuleType, folder: Path, *names: str, **options: bool) -> tuple[str, list[str]]:
    files = [{"name": name} for name in names]
    assert bpy.ops.vggt.pick_source(directory=f"{folder}/", files=files, **options) == {"FINISHED"}
    settings = bpy.context.scene.vggt
    return settings.source, [entry.name for entry in settings.files]


def test_a_name_from_another_folder_is_no_source(bpy: ModuleType, addon: ModuleType, plates: Path) -> None:
    """The browser keeps the .blend's name, or a file's that was clicked before, while one walks on to the folder."""
    assert picked(bpy, plates, "shot.blend") == (f"{plates}/", [])
    assert picked(bpy, plates, "") == (f"{plates}/", [])


def test_one_frame_stands_for_its_sequence(bpy: ModuleType, addon: ModuleType, plates: Path) -> None:
    frames = ["a.0009.png", "a.0010.png", "a.0011.png"]
    assert picked(bpy, plates, "a.0010.png") == (f"{plates}/", frames)
    assert picked(bpy, plates, "a.0010.png", use_sequence=False) == (f"{plates}/a.0010.png", [])
    assert picked(bpy, plates, "a.0009.png", "b.0010.png") == (f"{plates}/", ["a.0009.png", "b.0010.png"])
    assert picked(bpy, plates, "plain.png") == (f"{plates}/plain.png", [])
    assert picked(bpy, plates, "clip_01.mp4") == (f"{plates}/clip_01.mp4", [])


def test_the_browser_begins_where_the_source_is(bpy: ModuleType, addon: ModuleType, plates: Path) -> None:
    start_folder = addon.operators.pick_source._start_folder
    settings = bpy.context.scene.vggt
    assert start_folder(settings) is None
    for source in (plates, plates / "clip_01.mp4"):
        settings.source = str(source)
        assert start_folder(settings) == plates
    bpy.ops.wm.save_as_mainfile(filepath=str(plates.parent / "shot.blend"))
    bpy.context.scene.vggt.source = str(plates / "gone" / "1.png")
    assert start_folder(bpy.context.scene.vggt) == plates.parent


def test_a_frame_range_begins_with_the_plates_own_numbers(bpy: ModuleType, addon: ModuleType, plates: Path) -> None:
    settings = bpy.context.scene.vggt
    (plates / "shot").mkdir()
    for number in range(1001, 1013):
        (plates / "shot" / f"shot.{number}.exr").touch()
    (plates / "shot" / "notes.txt").touch()
    picked(bpy, plates / "shot")
    settings.use_range = True
    assert (settings.first, settings.last) == (1001, 1012)
    settings.last = 1004
    picked(bpy, plates / "shot")
    assert (settings.first, settings.last) == (1001, 1004), "the artist's own"
    picked(bpy, plates, "a.0009.png")
    assert (settings.first, settings.last) == (9, 11)
    picked(bpy, plates)  # no one sequence: counted from 0
    assert (settings.first, settings.last) == (9, 11)
