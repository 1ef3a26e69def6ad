"""A bad stretch of a shot solved again from the panel: the right frames, and the cameras of the others stay put."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Frames 1 to 5 of a sequence: the second has a high error, the fifth is not placed."""
    spec = importlib.util.spec_from_file_location("speaker", Path(__file__).with_name("speaker.py"))
    speaker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speaker)
    folder = speaker.write_reconstruction(str(tmp_path / "shot"), [])
    change(folder, lambda frames: [frame.update(residual_px=0.2, observations=100) for frame in frames[:4]])
    change(folder, lambda frames: frames[1].update(residual_px=9.0))
    return folder


def change(folder: Path, edit: object, **entries: object) -> None:
    file = folder / "reconstruction.json"
    document = {**json.loads(file.read_text()), **entries}
    edit(document["frames"])
    file.write_text(json.dumps(document))


def cameras(bpy: ModuleType) -> np.ndarray:
    """(5, 3) where the shot's camera is on the timeline."""
    scene = bpy.context.scene
    camera = next(thing for thing in bpy.data.objects if thing.get("vggt_role") == "camera")
    places = []
    for frame in range(1, 5):
        scene.frame_set(frame)
        places.append(tuple(camera.matrix_world.translation))
    return np.array(places)


def test_the_range_is_counted_as_the_source_counts(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    assert not bpy.ops.vggt.solve_again.poll()
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    tool = addon.operators.solve_again
    load = addon.vggt_blender.exchange.reconstruction.load_reconstruction
    job = tool.job_again(bpy.context.scene.vggt, load(folder), 2, 3)
    assert job.resolve
    assert str(job.frames) == "2:4:1"
    assert job.output == str(folder)
    assert job.inputs == tuple(f"/nowhere/shot.{n:04d}.png" for n in range(1, 6))
    with pytest.raises(RuntimeError, match="no frame from 7 to 9: it has 1 to 5"):
        bpy.ops.vggt.solve_again(first=7, last=9)
    change(folder, lambda frames: None, source={"kind": "video", "path": "/nowhere/shot.mov", "fps": 24})
    job = tool.job_again(bpy.context.scene.vggt, load(folder), 2, 3)
    assert (str(job.frames), job.inputs) == ("1:3:1", ("/nowhere/shot.mov",))  # a video counts from 0


def test_the_panels_masks_count_for_its_own_source(
    bpy: ModuleType, addon: ModuleType, folder: Path, tmp_path: Path
) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    settings, tool = bpy.context.scene.vggt, addon.operators.solve_again
    result = addon.vggt_blender.exchange.reconstruction.load_reconstruction(folder)
    settings.mask = str(tmp_path / "mask.png")
    for source, mask in (("", settings.mask), ("/nowhere", settings.mask), ("/other/plates", None)):
        settings.source = source
        assert tool.job_again(settings, result, 2, 3).mask == mask


def test_a_drawn_mask_is_drawn_for_all_frames_and_goes_again(
    bpy: ModuleType, addon: ModuleType, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "proxy").mkdir()
    for number in range(1, 6):
        Image.new("RGB", (64, 36)).save(tmp_path / "proxy" / f"shot.{number:04d}.png")
    clip = bpy.data.movieclips.load(str(tmp_path / "proxy" / "shot.0001.png"))
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    settings, session = bpy.context.scene.vggt, addon.operators.session.session
    settings.drawn_mask = bpy.data.masks.new("actor")
    spline = settings.drawn_mask.layers.new(name="actor").splines.new()
    spline.points.add(3)
    for point, corner in zip(spline.points, ((0.2, 0.2), (0.4, 0.2), (0.3, 0.4)), strict=False):
        point.co = corner
    spline.points[0].parent.id_type, spline.points[0].parent.id = "MOVIECLIP", clip  # it may change with the frames
    assert bpy.ops.vggt.solve_again(first=2, last=3) == {"FINISHED"}
    drawn = ", ".join(f"shot.{number:04d}.png" for number in range(1, 6))
    assert any(line.endswith(f"frames 2:4:1, masks {drawn}") for line in session.log), session.log
    assert [path.name for path in tmp_path.glob("shot*")] == ["shot"]
    settings.source = "/other/plates"
    assert bpy.ops.vggt.solve_again(first=2, last=3) == {"FINISHED"}
    assert any(line.endswith("frames 2:4:1, masks ") for line in session.log), "it is another plate's"


def test_stretches_of_bad_frames(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    _, quality = addon.operators.go_to_frame.shot_quality(bpy.context)
    assert addon.vggt_blender.scene.quality.bad_ranges(quality) == [(2, 5)]


def test_the_other_cameras_stay_where_they_are(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    change(folder, lambda frames: frames[1]["camera_from_world"][1].__setitem__(3, 3.0))
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    before = cameras(bpy)
    resolved = [{"frames": "2:3:1", "better": ["shot.0002.png"]}]
    change(folder, lambda frames: frames[1]["camera_from_world"][1].__setitem__(3, 0.0), resolved=resolved)
    bpy.ops.vggt.import_reconstruction(filepath=str(folder), existing="update", placement="keep")
    after = cameras(bpy)
    np.testing.assert_allclose(after[[0, 2, 3]], before[[0, 2, 3]], atol=1e-5)
    assert np.linalg.norm(after[1] - before[1]) > 2
    assert sum(thing.get("vggt_role") == "camera" for thing in bpy.data.objects) == 1
