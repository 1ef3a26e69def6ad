"""What the panel says of the shot arrives in the job."""

from __future__ import annotations

import math
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

    def prop(self, data: object, name: str, *, index: int = -1, **_: object) -> None:
        assert name in data.bl_rna.properties
        self.drawn.append(name if index < 0 else f"{name}{index}")


def drawn(bpy: ModuleType, addon: ModuleType) -> list[str]:
    paper = Paper([])
    addon.ui.lens.VGGT_PT_lens.draw(SimpleNamespace(layout=paper), bpy.context)
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
