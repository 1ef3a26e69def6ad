"""The list of results and the question about the scene's settings."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spec = importlib.util.spec_from_file_location("speaker", Path(__file__).with_name("speaker.py"))
    speaker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speaker)
    return speaker.write_reconstruction(str(tmp_path / "project" / "vggt" / "shot"), [])


def test_an_import_is_listed_once_and_survives_save_and_load(
    bpy: ModuleType, addon: ModuleType, folder: Path, tmp_path: Path
) -> None:
    blend = tmp_path / "project" / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    for _ in range(2):
        assert bpy.ops.vggt.import_reconstruction(filepath=str(folder / "reconstruction.json")) == {"FINISHED"}
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    (entry,) = bpy.context.scene.vggt.results
    assert entry.folder.startswith("//")  # travels with the .blend
    assert Path(bpy.path.abspath(entry.folder)) == folder
    assert (entry.name, entry.registered, entry.total) == ("shot", 4, 5)


@pytest.mark.filterwarnings("ignore:.*blend relative")  # Blender 5 says that people cannot type it there; scripts can
def test_a_place_beside_a_file_that_was_never_saved_is_none(
    bpy: ModuleType, addon: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locations = addon.operators.locations
    monkeypatch.setattr(locations, "_user_folder", lambda: tmp_path / "ours")
    preferences = locations.preferences(bpy.context)
    preferences.results_folder, preferences.backend_folder = "//shots", "//backend"
    assert locations.new_result_folder(bpy.context, "a") == tmp_path / "ours" / "results" / "a"
    assert locations.backend_folder(bpy.context) == tmp_path / "ours" / "backend"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert locations.new_result_folder(bpy.context, "a") == tmp_path / "shots" / "a"


def test_remove_takes_the_entry_and_leaves_files_and_objects(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    assert not bpy.ops.vggt.remove_result.poll()
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    objects = len(bpy.data.objects)
    assert bpy.ops.vggt.remove_result() == {"FINISHED"}
    assert len(bpy.context.scene.vggt.results) == 0
    assert not bpy.ops.vggt.remove_result.poll()
    assert (folder / "reconstruction.json").is_file()
    assert len(bpy.data.objects) == objects > 0


def test_a_folder_without_a_result_is_one_clear_line(bpy: ModuleType, addon: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no finished reconstruction"):
        bpy.ops.vggt.import_reconstruction(filepath=str(tmp_path))
    assert len(bpy.data.objects) == 0


def test_a_scene_in_use_keeps_its_settings_unless_told(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    scene = bpy.context.scene
    scene.collection.objects.link(bpy.data.objects.new("hero", None))
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    assert (scene.render.resolution_x, scene.render.resolution_y) == (1920, 1080)
    bpy.ops.vggt.import_reconstruction(filepath=str(folder), placement="this")
    assert (scene.render.resolution_x, scene.render.resolution_y) == (64, 36)


def test_a_start_up_scene_counts_as_empty(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert {thing.name for thing in bpy.context.scene.objects} == {"Camera", "Cube", "Light"}
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    assert bpy.context.scene.render.resolution_x == 64
    cube = bpy.data.objects["Cube"]
    assert (cube.hide_viewport, cube.hide_render) == (True, True)  # the cameras begin inside it
    assert not bpy.data.objects["Light"].hide_viewport


def test_a_cube_that_was_worked_on_stays_in_sight(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    for work in (
        lambda cube: setattr(cube, "location", (1, 0, 0)),
        lambda cube: setattr(cube.data.vertices[0], "co", (-2, -1, -1)),
        lambda cube: cube.modifiers.new("bevel", "BEVEL"),
    ):
        bpy.ops.wm.read_homefile(use_factory_startup=True)
        work(bpy.data.objects["Cube"])
        bpy.context.view_layer.update()
        bpy.ops.vggt.import_reconstruction(filepath=str(folder))
        assert not bpy.data.objects["Cube"].hide_viewport


def test_a_new_scene_has_the_result_and_the_old_one_is_left_alone(
    bpy: ModuleType, addon: ModuleType, folder: Path
) -> None:
    scene = bpy.context.scene
    bpy.ops.vggt.import_reconstruction(filepath=str(folder), placement="new")
    (new,) = [other for other in bpy.data.scenes if other != scene]
    assert (len(scene.objects), scene.render.resolution_x) == (0, 1920)
    assert new.render.resolution_x == 64
    assert len(new.vggt.results) == len(scene.vggt.results) == 1


def test_what_to_bring_in_is_asked_of_the_scene(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    settings = bpy.context.scene.vggt
    settings.use_points = settings.use_planes = False
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    few = len(bpy.data.objects)
    settings.use_points = settings.use_planes = True
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    assert len(bpy.data.objects) - few > few


def test_paths_stay_true_wherever_the_file_is_saved(
    bpy: ModuleType, addon: ModuleType, folder: Path, tmp_path: Path
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    elsewhere.mkdir()
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    settings = bpy.context.scene.vggt
    (entry,) = settings.results
    assert Path(entry.folder) == folder  # never saved: absolute

    bpy.ops.wm.save_as_mainfile(filepath=str(project / "shot.blend"))
    assert entry.folder == "//vggt/shot"
    addon.operators.pick_source.set_source(settings, "//plates", ["b.png", "a.png"])
    settings.mask = str(elsewhere / "mask.png")

    bpy.ops.wm.save_as_mainfile(filepath=str(elsewhere / "copy.blend"), copy=True)
    assert (entry.folder, settings.source) == ("//vggt/shot", "//plates")  # this file is still in its place
    with pytest.raises(RuntimeError):
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "no folder" / "shot.blend"))
    assert entry.folder == "//vggt/shot"

    bpy.ops.wm.open_mainfile(filepath=str(elsewhere / "copy.blend"))
    settings = bpy.context.scene.vggt
    assert Path(settings.results[0].folder) == folder
    assert Path(settings.source) == project / "plates"
    assert [file.name for file in settings.files] == ["b.png", "a.png"]
    assert Path(settings.mask) == elsewhere / "mask.png"

    bpy.ops.wm.save_as_mainfile(filepath=str(project / "shot.blend"))
    project.rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "shot.blend"))
    (entry,) = bpy.context.scene.vggt.results
    assert bpy.ops.vggt.import_reconstruction(filepath=bpy.path.abspath(entry.folder)) == {"FINISHED"}


def test_delete_takes_the_files_of_a_reconstruction_and_nothing_else(
    bpy: ModuleType, addon: ModuleType, folder: Path
) -> None:
    assert not bpy.ops.vggt.delete_result.poll()
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    objects = len(bpy.data.objects)
    (folder / "notes.txt").write_text("mine")
    assert bpy.ops.vggt.delete_result() == {"FINISHED"}
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert len(bpy.context.scene.vggt.results) == 0
    assert len(bpy.data.objects) == objects


def test_delete_takes_what_the_panel_made_beside_it(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    plates = {"plate.1.png": {"file": "straight.0001.png"}}
    written = {
        "undistorted": ("straight.0001.png", "undistorted.json", "mine.png"),
        "depth_pictures": ("depth.0001.exr", "mine.exr"),
    }
    for name, files in written.items():
        (folder / name).mkdir()
        for file in files:
            (folder / name / file).write_text("x")
    (folder / "undistorted" / "undistorted.json").write_text(json.dumps({"frames": plates}))
    bpy.ops.vggt.delete_result()
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == {str(Path("undistorted", "mine.png")), str(Path("depth_pictures", "mine.exr"))}


def test_delete_removes_the_empty_folder(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    bpy.ops.vggt.delete_result()
    assert not folder.exists()
    assert folder.parent.is_dir()


@pytest.mark.parametrize("content", [None, "{}", "not json", '{"format": "somebody else\'s"}'])
def test_what_is_no_reconstruction_is_never_deleted(
    bpy: ModuleType, addon: ModuleType, tmp_path: Path, content: str | None
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "depth.npy").write_text("mine")
    if content is not None:
        (precious / "reconstruction.json").write_text(content)
    bpy.context.scene.vggt.results.add().folder = str(precious)
    with pytest.raises(RuntimeError, match="nothing was deleted"):
        bpy.ops.vggt.delete_result()
    assert (precious / "depth.npy").read_text() == "mine"
    assert len(bpy.context.scene.vggt.results) == 1
