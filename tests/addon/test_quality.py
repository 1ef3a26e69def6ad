"""The buttons of the quality panel: they jump to frames that stand out, with the right camera."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Frames 1 to 5: the second has a high error, the fifth is not placed."""
    spec = importlib.util.spec_from_file_location("speaker", Path(__file__).with_name("speaker.py"))
    speaker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speaker)
    folder = speaker.write_reconstruction(str(tmp_path / "shot"), [])
    document = json.loads((folder / "reconstruction.json").read_text())
    for frame, residual in zip(document["frames"], (0.2, 3.0, 0.2, 0.2, None), strict=True):
        if residual is not None:
            frame.update(residual_px=residual, observations=100)
    (folder / "reconstruction.json").write_text(json.dumps(document))
    return folder


def test_buttons_jump_to_the_frames_that_stand_out(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    scene = bpy.context.scene
    assert not bpy.ops.vggt.next_bad_frame.poll()
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    scene.camera = None
    jumps = []
    for back in (False, False, False, True):
        assert bpy.ops.vggt.next_bad_frame(back=back) == {"FINISHED"}
        jumps.append(scene.frame_current)
    assert jumps == [2, 5, 2, 5]
    assert scene.camera is not None
    assert scene.camera["vggt_role"] == "camera"
    assert bpy.ops.vggt.go_to_frame(frame_name="shot.0003.png") == {"FINISHED"}
    assert scene.frame_current == 3
    with pytest.raises(RuntimeError, match="no frame 'elsewhere'"):
        bpy.ops.vggt.go_to_frame(frame_name="elsewhere")


def test_stills_jump_to_their_marker_and_camera(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    document = json.loads((folder / "reconstruction.json").read_text())
    document["source"]["kind"] = "images"
    for frame in document["frames"]:
        frame["number"] = None
    (folder / "reconstruction.json").write_text(json.dumps(document))
    scene = bpy.context.scene
    for _ in range(2):  # the second set follows the first on the timeline
        bpy.ops.vggt.import_reconstruction(filepath=str(folder), placement="this")
    roots = [thing for thing in bpy.data.objects if thing.get("vggt_role") == "root"]
    bpy.context.view_layer.objects.active = roots[1]
    assert bpy.ops.vggt.go_to_frame(frame_name="shot.0002.png") == {"FINISHED"}
    assert scene.camera["vggt_role"] == "camera:shot.0002.png"
    assert scene.camera.parent == roots[1]
    assert scene.frame_current > 4


def test_the_graph_shows_every_frame_where_it_is(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    graph = importlib.import_module("vggt_matchmove.vggt_blender.scene.quality_graph")
    quality = importlib.import_module("vggt_matchmove.vggt_blender.scene.quality")
    collection = next(c for c in bpy.data.collections if "vggt_id" in c)
    picture = graph.quality_graph(quality.kept_quality(collection))
    size = graph.SIZE
    assert picture.shape == (size, size, 4)
    assert 0 <= picture.min() < picture.max() <= 1
    upper = picture[size // 2 + graph.GAP :]
    columns = (np.arange(5) + 0.5) * size / 5
    bars = [(upper[:, int(x)] == np.float32(color)).all(axis=-1).sum() for x, color in zip(
        columns, (graph.GOOD, graph.BAD, graph.GOOD, graph.GOOD, graph.MISSING), strict=True)]  # fmt: skip
    assert bars[1] > 4 * bars[0] > 0
    assert bars[0] == bars[2] == bars[3]
    assert bars[4] >= len(upper) - 1  # the line crosses it
