"""Clip, tracks, compositing and filters as operators: they work without a window, and undo takes them back."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A solved sequence whose plate is there."""
    image = pytest.importorskip("PIL.Image")
    plates = tmp_path / "plates"
    plates.mkdir()
    pictures = [plates / f"plate.{1 + index:04d}.png" for index in range(5)]
    for path in pictures:
        image.fromarray(np.full((36, 64, 3), 90, np.uint8)).save(path)
    spec = importlib.util.spec_from_file_location("speaker", Path(__file__).with_name("speaker.py"))
    speaker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speaker)
    return speaker.write_reconstruction(str(tmp_path / "shot"), [str(path) for path in pictures])


def role(bpy: ModuleType, name: str) -> object:
    return next(thing for thing in bpy.data.objects if thing.get("vggt_role") == name)


def test_without_a_shot_every_tool_says_so(bpy: ModuleType, addon: ModuleType) -> None:
    for name in ("make_clip", "add_tracks", "add_moving_plane", "export", "reset_filters", "next_bad_frame"):
        assert not getattr(bpy.ops.vggt, name).poll(), name


def test_clip_and_markers(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    assert bpy.ops.vggt.make_clip() == {"FINISHED"}
    assert bpy.ops.vggt.add_tracks(kind="MARKERS", count=20) == {"FINISHED"}
    (clip,) = bpy.data.movieclips
    assert len(clip.tracking.tracks) == 20
    assert tuple(clip.size) == (64, 36)
    marker = clip.tracking.tracks[0].markers.find_frame(1, exact=True)
    assert 0 < marker.co[0] < 1


def test_tracks_in_the_scene_follow_the_shot(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    root = role(bpy, "root")
    for kind in ("POINTS", "EMPTIES"):
        assert bpy.ops.vggt.add_tracks(kind=kind, count=10) == {"FINISHED"}
    points, empty = role(bpy, "tracks"), role(bpy, "track:1")
    assert len(points.data.vertices) == 10
    assert (points.parent, empty.parent) == (root, root)


def test_compositing_renders_over_the_plate(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    assert bpy.ops.vggt.set_up_compositing() == {"FINISHED"}
    scene = bpy.context.scene
    assert scene.render.film_transparent
    assert scene.render.engine == "CYCLES"
    catcher = role(bpy, "shadow catcher")
    assert catcher.is_shadow_catcher
    bpy.context.view_layer.update()
    assert np.ptp([(catcher.matrix_world @ vertex.co).z for vertex in catcher.data.vertices]) == 0
    count = len(bpy.data.objects)
    assert bpy.ops.vggt.set_up_compositing(use_cycles=False) == {"FINISHED"}
    assert len(bpy.data.objects) == count


def test_a_plate_behind_a_rolling_shutter_is_rendered_over_alike(
    bpy: ModuleType, addon: ModuleType, folder: Path
) -> None:
    written = folder / "reconstruction.json"
    document = json.loads(written.read_text())
    document["engine"]["settings"] = {"rolling_shutter": {"readout": 0.7, "axis": 1}}
    written.write_text(json.dumps(document))
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    assert bpy.ops.vggt.set_up_compositing() == {"FINISHED"}
    scene = bpy.context.scene
    assert (scene.render.use_motion_blur, scene.cycles.rolling_shutter_type) == (True, "TOP")
    assert scene.render.motion_blur_shutter == pytest.approx(0.7)

    document["engine"]["settings"] = {"rolling_shutter": None}
    written.write_text(json.dumps(document))
    assert bpy.ops.vggt.set_up_compositing() == {"FINISHED"}
    assert (scene.render.use_motion_blur, scene.cycles.rolling_shutter_type) == (False, "NONE")


def test_stills_and_a_folder_that_is_gone_are_one_line(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    (folder / "reconstruction.json").rename(folder / "gone.json")
    with pytest.raises(RuntimeError, match="no finished reconstruction"):
        bpy.ops.vggt.make_clip()
    (folder / "gone.json").rename(folder / "reconstruction.json")
    document = json.loads((folder / "reconstruction.json").read_text())
    document["source"]["kind"] = "images"
    (folder / "reconstruction.json").write_text(json.dumps(document))
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    bpy.context.view_layer.objects.active = role(bpy, "camera:plate.0001.png")
    assert not bpy.ops.vggt.make_clip.poll()
    with pytest.raises(RuntimeError, match="no clip"):
        bpy.ops.vggt.add_tracks(kind="MARKERS")


def test_filters_are_reset_and_undone(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    root = role(bpy, "root")
    name = root.name
    root["Confidence"], root["First Frame"] = 0.7, 3
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.vggt.reset_filters() == {"FINISHED"}
    bpy.ops.ed.undo_push(message="reset")
    assert (root["Confidence"], root["First Frame"]) == (pytest.approx(0.1), 1)
    bpy.ops.ed.undo()
    assert bpy.data.objects[name]["Confidence"] == pytest.approx(0.7)


@pytest.mark.parametrize("call", ["make_clip", "add_tracks", "set_up_compositing", "add_moving_plane"])
def test_every_tool_is_undone(bpy: ModuleType, addon: ModuleType, folder: Path, call: str) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    bpy.ops.ed.undo_push(message="before")
    before = (len(bpy.data.objects), len(bpy.data.movieclips), bpy.context.scene.render.film_transparent)
    getattr(bpy.ops.vggt, call)()
    bpy.ops.ed.undo_push(message=call)
    after = (len(bpy.data.objects), len(bpy.data.movieclips), bpy.context.scene.render.film_transparent)
    assert after != before
    bpy.ops.ed.undo()
    assert (len(bpy.data.objects), len(bpy.data.movieclips), bpy.context.scene.render.film_transparent) == before


def test_of_several_shots_the_selected_result_is_meant(
    bpy: ModuleType, addon: ModuleType, folder: Path, tmp_path: Path
) -> None:
    """Where neither a part of a shot nor its collection is selected, as after a second solve."""
    second = shutil.copytree(folder, tmp_path / "second")
    for place in (folder, second):
        bpy.ops.vggt.import_reconstruction(filepath=str(place))
    context, settings = bpy.context, bpy.context.scene.vggt
    context.view_layer.objects.active = None
    current_shot = addon.operators.aligning.current_shot
    for position, place in enumerate((folder, second)):
        settings.active_result = position
        assert current_shot(context).collection["vggt_folder"] == str(place)
    context.view_layer.objects.active = bpy.data.objects[current_shot(context).find("root").name]
    settings.active_result = 0
    assert current_shot(context).collection["vggt_folder"] == str(second), "what is selected comes first"
    context.view_layer.objects.active = None
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))  # twice from one folder: which one is not said
    context.view_layer.objects.active = None
    assert current_shot(context) is None
