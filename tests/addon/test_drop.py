"""What a drop into the 3D View does: the handlers name operators that exist, and those take what Blender hands them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def test_handlers_and_their_operators_exist(bpy: ModuleType, addon: ModuleType) -> None:
    drop = addon.operators.drop
    for handler in (drop.VGGT_FH_source, drop.VGGT_FH_reconstruction):
        area, name = handler.bl_import_operator.split(".")
        taken = set(getattr(getattr(bpy.ops, area), name).get_rna_type().properties.keys())
        assert taken >= {"filepath"} or taken >= {"directory", "files"}
        assert all(ending.startswith(".") for ending in handler.bl_file_extensions.split(";"))
    for ending in (".mp4", ".exr", ".jpg", ".png", ".avif", ".jp2", ".gif", ".ogv"):
        assert ending in drop.VGGT_FH_source.bl_file_extensions.split(";")


@pytest.mark.parametrize(
    ("names", "source", "files"),
    [
        (["a.mp4"], "a.mp4", 0),
        (["a.TS"], "a.TS", 0),
        (["a.jpg", "b.jpg", "c.jpg"], "", 3),
        (["plate.1001.exr"], "", 0),
    ],
)
def test_dropped_pictures_and_videos_become_the_source(
    bpy: ModuleType, addon: ModuleType, tmp_path: Path, names: list[str], source: str, files: int
) -> None:
    entries = [{"name": name} for name in names]
    assert bpy.ops.vggt.drop_source(directory=f"{tmp_path}/", files=entries) == {"FINISHED"}
    settings = bpy.context.scene.vggt
    assert Path(settings.source) == tmp_path / source
    assert len(settings.files) == files


def test_a_bad_drop_is_one_line_and_changes_nothing(bpy: ModuleType, addon: ModuleType, tmp_path: Path) -> None:
    bpy.context.scene.vggt.source = "/before"
    with pytest.raises(RuntimeError, match="one video by itself"):
        bpy.ops.vggt.drop_source(directory=f"{tmp_path}/", files=[{"name": "a.mp4"}, {"name": "b.jpg"}])
    with pytest.raises(RuntimeError, match="Nothing was dropped"):
        bpy.ops.vggt.drop_source()
    assert bpy.context.scene.vggt.source == "/before"


def test_a_folder_with_the_ending_is_a_reconstruction(bpy: ModuleType, addon: ModuleType, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("speaker", Path(__file__).with_name("speaker.py"))
    speaker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speaker)
    folder = speaker.write_reconstruction(str(tmp_path / "shot.vggt"), [])
    assert bpy.ops.vggt.import_reconstruction(filepath=str(folder)) == {"FINISHED"}
    assert any(thing.type == "CAMERA" for thing in bpy.data.objects)
