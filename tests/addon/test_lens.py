"""What the panel says of the shot arrives in the job."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def settings(bpy: ModuleType, addon: ModuleType) -> object:
    settings = bpy.context.scene.vggt
    settings.source = "/pictures/solve"
    return settings


def known(addon: ModuleType, settings: object) -> object:
    return addon.operators.solve.job_of(settings, "/out").known


def test_nothing_is_known_until_it_is_said(addon: ModuleType, settings: object) -> None:
    assert known(addon, settings).given() == {}


def test_lens_and_distance_arrive(addon: ModuleType, settings: object) -> None:
    entry = settings.known
    entry.lens, entry.focal_mm, entry.sensor_mm, entry.focal_is_start = "mm", 35, 24, True
    entry.use_distortion, entry.distortion = True, (-0.125, 0.25, 0, 0, 0)
    entry.zooms = True
    entry.use_distance, entry.distance_first, entry.distance_last, entry.distance = True, 1001, 1024, 2.5
    assert known(addon, settings).given() == {
        "focal_mm": 35,
        "sensor_mm": 24,
        "focal_is_start": True,
        "distortion": [-0.125, 0.25, 0, 0, 0],
        "zooms": True,
        "distance": {"first": "1001", "second": "1024", "meters": 2.5},
    }
    entry.lens, entry.focal_is_start, entry.zooms, entry.use_distance = "fov", False, False, False
    entry.fov, entry.locked_off = math.radians(60), True
    said = known(addon, settings)
    assert said.fov == pytest.approx(60)
    assert (said.locked_off, said.focal_mm, said.distance) == (True, None, None)
    assert said.holds_focal


def test_contradictions_are_one_line_at_the_button(bpy: ModuleType, settings: object) -> None:
    settings.known.lens, settings.known.zooms = "px", True
    with pytest.raises(RuntimeError, match="zooms"):
        bpy.ops.vggt.solve()


def test_refinement_is_for_engines_that_need_it(addon: ModuleType, settings: object) -> None:
    settings.engine = "vggt"
    assert addon.operators.solve.job_of(settings, "/out").refine
    settings.engine = "colmap"
    assert not addon.operators.solve.job_of(settings, "/out").refine


class Paper:
    """Stands for a layout: notes which properties are drawn, which have to be there."""

    def __init__(self, drawn: list[str]) -> None:
        self.drawn = drawn

    def column(self, **_: object) -> Paper:
        return Paper(self.drawn)

    row = column

    def menu(self, name: str, **_: object) -> None:
        import bpy

        assert hasattr(bpy.types, name)

    def prop(self, data: object, name: str, *, index: int = -1, **_: object) -> None:
        assert name in data.bl_rna.properties
        self.drawn.append(name if index < 0 else f"{name}{index}")


def drawn(bpy: ModuleType, addon: ModuleType) -> list[str]:
    paper = Paper([])
    sidebar = SimpleNamespace(width=300)
    context = SimpleNamespace(scene=bpy.context.scene, preferences=bpy.context.preferences, region=sidebar)
    addon.ui.lens.VGGT_PT_lens.draw(SimpleNamespace(layout=paper), context)
    return paper.drawn


def test_only_what_was_chosen_asks_for_numbers(bpy: ModuleType, addon: ModuleType, settings: object) -> None:
    nothing = ["lens", "use_distortion", "use_pixel_aspect", "locked_off", "zooms", "use_distance", "refine", "smooth"]
    assert drawn(bpy, addon) == nothing
    settings.known.lens = "mm"
    assert {"focal_mm", "sensor_mm", "focal_is_start"} < set(drawn(bpy, addon))
    settings.known.lens, settings.known.use_distortion, settings.known.use_distance = "fov", True, True
    everything = drawn(bpy, addon)
    assert {"fov", "distortion0", "distortion4", "distance_first", "distance_last", "distance"} < set(everything)
    assert "focal_mm" not in everything
    settings.known.use_pixel_aspect = settings.known.smooth = True
    assert {"pixel_aspect", "smooth_budget"} < set(drawn(bpy, addon))


def test_aspect_and_smoothing_arrive_where_they_are_switched_on(addon: ModuleType, settings: object) -> None:
    assert addon.operators.solve.job_of(settings, "/out").smooth == 0
    settings.known.pixel_aspect, settings.known.smooth_budget = 1.5, 0.25
    assert known(addon, settings).pixel_aspect is None
    settings.known.use_pixel_aspect = settings.known.smooth = True
    assert known(addon, settings).given() == {"pixel_aspect": 1.5}
    assert addon.operators.solve.job_of(settings, "/out").smooth == 0.25


def test_a_camera_of_blenders_list_fills_the_sensor(
    bpy: ModuleType, addon: ModuleType, settings: object, tmp_path: Path
) -> None:
    presets = sorted(path for folder in bpy.utils.preset_paths("camera") for path in Path(folder).glob("*.py"))
    assert len(presets) > 20
    for path in presets:
        assert bpy.ops.vggt.use_camera_preset(filepath=str(path)) == {"FINISHED"}
        width, height = (
            float(re.search(rf"{name} = ([0-9.]+)", path.read_text())[1]) for name in ("sensor_width", "sensor_height")
        )
        assert settings.known.sensor_mm == pytest.approx(max(width, height))
        assert known(addon, settings).sensor_mm == pytest.approx(max(width, height))
    own = tmp_path / "own.py"
    own.write_text("import bpy\ncamera = bpy.context.camera\ncamera.sensor_width = 23.76\ncamera.lens = 50.0\n")
    bpy.ops.vggt.use_camera_preset(filepath=str(own))
    assert known(addon, settings).given() == {"focal_mm": 50.0, "sensor_mm": pytest.approx(23.76)}


def test_a_preset_is_read_and_never_run(bpy: ModuleType, settings: object, tmp_path: Path) -> None:
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w').close()\ncamera.sensor_width = max(10, 20)\n")
    with pytest.raises(RuntimeError, match="no camera preset"):
        bpy.ops.vggt.use_camera_preset(filepath=str(trap))
    with pytest.raises(RuntimeError, match="no camera preset"):
        bpy.ops.vggt.use_camera_preset(filepath=str(tmp_path / "gone.py"))
    assert not (tmp_path / "sprung").exists()
    assert settings.known.lens == "unknown"
