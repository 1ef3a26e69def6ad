"""A mask drawn in the Clip Editor becomes the solve's mask: in its place, on its frames, in the right direction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vggt_blender.inference.frames import open_source

WIDTH, HEIGHT, FIRST, COUNT = 160, 90, 1001, 4
Corners = list[tuple[float, float]]


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    folder = tmp_path / "plates"
    folder.mkdir()
    for number in range(FIRST, FIRST + COUNT):
        picture = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(picture).save(folder / f"shot.{number}.png")
    return folder


@pytest.fixture
def clip(bpy: ModuleType, plates: Path) -> Any:
    clip = bpy.data.movieclips.load(str(plates / f"shot.{FIRST}.png"))
    clip.frame_start = 1
    return clip


@pytest.fixture
def draw(bpy: ModuleType) -> Callable[..., Any]:
    """A mask with one straight-edged shape, its corners in parts of the picture from the lower left."""

    def drawn(corners: Corners, aspect: float = 1.0, shape: float = HEIGHT / WIDTH) -> Any:
        mask = bpy.data.masks.new("mask")
        spline = mask.layers.new(name="layer").splines.new()
        spline.use_cyclic = True
        spline.points.add(len(corners) - len(spline.points))
        for point, (x, y) in zip(spline.points, corners, strict=True):
            # Blender counts both axes in the longer side, from its lower end
            at = (x, (y - 0.5) * shape / aspect + 0.5)
            point.handle_type = "VECTOR"
            point.co = point.handle_left = point.handle_right = at
        return mask

    return drawn


def solve_mask(addon: ModuleType, settings: Any, tmp_path: Path) -> str:
    job = addon.operators.solve.job_of(settings, str(tmp_path / "result"))
    return addon.operators.drawn_mask.write_drawn_mask(settings.id_data, job.inputs, job.frames, job.output)


def left_out(plates: Path, mask: str, position: int = 0) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what the solve leaves out, grown as it grows masks."""
    usable = open_source([str(plates)], kind="sequence", mask=mask).mask(position)
    assert usable.shape == (HEIGHT, WIDTH)
    rows, columns = np.nonzero(~usable)
    assert (~usable).sum() > 0.95 * (np.ptp(rows) + 1) * (np.ptp(columns) + 1), "a rectangle"
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


LOWER_LEFT: Corners = [(0.25, 0.2), (0.5, 0.2), (0.5, 0.4), (0.25, 0.4)]


@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_what_is_drawn_is_left_out_in_its_place(
    bpy: ModuleType, addon: ModuleType, plates: Path, clip: Any, draw: Any, tmp_path: Path, aspect: float
) -> None:
    clip.tracking.camera.pixel_aspect = aspect
    settings = bpy.context.scene.vggt
    settings.source, settings.drawn_mask = str(plates), draw(LOWER_LEFT, aspect)
    before = {kind: len(getattr(bpy.data, kind)) for kind in ("scenes", "objects", "cameras", "node_groups", "images")}
    mask = solve_mask(addon, settings, tmp_path)
    assert mask == str(tmp_path / "result mask" / "mask.png"), "it never changes: one picture"
    np.testing.assert_allclose(left_out(plates, mask), (40, 54, 80, 72), atol=2)
    assert {kind: len(getattr(bpy.data, kind)) for kind in before} == before, "nothing of it stays in the file"
    assert settings.drawn_mask.name == "mask"


def test_a_mask_that_follows_a_track_is_drawn_for_each_frame(
    bpy: ModuleType, addon: ModuleType, plates: Path, clip: Any, draw: Any, tmp_path: Path
) -> None:
    clip.frame_start = 11  # the artist may have put the clip anywhere on the timeline
    track = clip.tracking.objects[0].tracks.new(name="t", frame=1)
    for frame in range(1, COUNT + 1):
        track.markers.insert_frame(frame, co=(0.1 * frame, 0.5))
    mask = draw([(0.1, 0.4), (0.3, 0.4), (0.3, 0.6), (0.1, 0.6)])
    for point in mask.layers[0].splines[0].points:  # which stay as they are beside the track's first marker
        point.parent.id_type, point.parent.id = "MOVIECLIP", clip
        point.parent.parent, point.parent.sub_parent = clip.tracking.objects[0].name, "t"
    settings = bpy.context.scene.vggt
    settings.source, settings.drawn_mask = str(plates), mask
    settings.use_range, settings.first, settings.last = True, FIRST + 1, FIRST + 3
    bpy.context.scene.frame_set(3)
    drawn = solve_mask(addon, settings, tmp_path)
    assert bpy.context.scene.frame_current == 3
    assert sorted(path.name for path in Path(drawn).glob("*.png")) == [f"shot.{FIRST + k}.png" for k in (1, 2, 3)]
    for position in (1, 2, 3):
        left = 16 * (position + 1)
        np.testing.assert_allclose(left_out(plates, drawn, position), (left, 36, left + 32, 54), atol=2)


def test_keyed_layers_change_with_the_frames(
    bpy: ModuleType, addon: ModuleType, plates: Path, clip: Any, draw: Any, tmp_path: Path
) -> None:
    mask = draw(LOWER_LEFT)
    for frame, alpha in ((1, 1.0), (2, 0.0)):
        mask.layers[0].alpha = alpha
        mask.layers[0].keyframe_insert("alpha", frame=frame)
    settings = bpy.context.scene.vggt
    settings.source, settings.drawn_mask = str(plates), mask
    drawn = solve_mask(addon, settings, tmp_path)
    source = open_source([str(plates)], kind="sequence", mask=drawn)
    assert not source.mask(0).all()
    assert source.mask(2).all()


def test_the_job_gets_it_and_contradictions_are_one_line(
    bpy: ModuleType, addon: ModuleType, plates: Path, draw: Any, tmp_path: Path
) -> None:
    settings = bpy.context.scene.vggt
    settings.source, settings.drawn_mask, settings.engine = str(plates), draw(LOWER_LEFT), "colmap"
    with pytest.raises(RuntimeError, match="as a clip"):
        bpy.ops.vggt.solve()
    bpy.data.movieclips.load(str(plates / f"shot.{FIRST}.png"))
    settings.mask = str(plates)
    with pytest.raises(RuntimeError, match="two masks"):
        bpy.ops.vggt.solve()
    settings.mask = ""
    settings.drawn_mask = bpy.data.masks.new("empty")
    with pytest.raises(RuntimeError, match="no shapes"):
        bpy.ops.vggt.solve()


def masks_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("* mask*"))


@pytest.mark.parametrize("deed", ["fail", "die"])
def test_a_solve_that_comes_to_nothing_leaves_no_mask(
    bpy: ModuleType, addon: ModuleType, clip: Any, draw: Any, tmp_path: Path, deed: str
) -> None:
    """The one clip there is stands for a source that the backend only knows."""
    settings = bpy.context.scene.vggt
    settings.source, settings.drawn_mask = f"/pictures/{deed}", draw(LOWER_LEFT)
    with pytest.raises(RuntimeError):
        bpy.ops.vggt.solve()
    assert masks_in(tmp_path / "results") == []


def test_a_drawn_mask_goes_with_its_solve_or_with_its_result(
    bpy: ModuleType, addon: ModuleType, clip: Any, draw: Any, tmp_path: Path
) -> None:
    settings, results = bpy.context.scene.vggt, tmp_path / "results"
    settings.source, settings.drawn_mask = "/pictures/hold", draw(LOWER_LEFT)
    session = addon.operators.session.session
    job = addon.operators.solve.job_of(settings, str(results / "queued"))
    write = addon.operators.drawn_mask.write_drawn_mask
    drawn = write(bpy.context.scene, job.inputs, job.frames, job.output)
    write(bpy.context.scene, job.inputs, job.frames, str(results / "other"))
    task = session.start(addon.operators.locations.interpreter(bpy.context), job, "", bpy.context.scene, "keep", drawn)
    assert masks_in(results) == ["other mask", "queued mask"]
    session.cancel(task)
    session.wait(task)
    assert masks_in(results) == ["other mask"]

    settings.source = "/pictures/solve"
    assert bpy.ops.vggt.solve() == {"FINISHED"}
    assert masks_in(results) == ["other mask", "solve mask"], "solving frames again asks for it"
    (results / "solve mask" / "mine.png").write_text("mine")
    (results / "solve mask 2").mkdir()
    (results / "solve mask 2" / "mask.png").write_text("mine")
    bpy.ops.vggt.delete_result()
    left = sorted(str(path.relative_to(results)) for path in results.rglob("*") if path.is_file())
    assert left == sorted(
        str(Path(*parts))
        for parts in (
            ("other mask", "drawn_mask.json"),
            ("other mask", "mask.png"),
            ("solve mask", "mine.png"),
            ("solve mask 2", "mask.png"),
        )
    )


def test_a_videos_frames_count_from_one(bpy: ModuleType, addon: ModuleType, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "take.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height = WIDTH, HEIGHT
        for shade in (0, 80, 160):
            picture = np.full((HEIGHT, WIDTH, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    clip = bpy.data.movieclips.load(str(path))
    clip.frame_start = 5
    settings = bpy.context.scene.vggt
    settings.source = str(path)
    assert addon.operators.drawn_mask.plate_clip([str(path)]) == clip
    frames = addon.operators.solve.job_of(settings, "out").frames
    names = addon.operators.drawn_mask.frame_names(clip, frames)
    assert names == {5: "take.0001", 6: "take.0002", 7: "take.0003"}
    assert [frame.name for frame in open_source([str(path)]).frames] == list(names.values())
