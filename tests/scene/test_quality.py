"""What a shot says about itself: kept in the file, bad frames found, and a way out named where it is bad."""

from __future__ import annotations

from dataclasses import replace

import pytest

bpy = pytest.importorskip("bpy")


@pytest.fixture
def solved(stage, photograph):
    """`solved(residuals, points, unregistered)` is a shot on frames 1001.. with these figures."""

    def make(residuals, points=None, unregistered=(), **settings):
        count = len(residuals)
        shot = stage.Shot(
            [stage.look((0.1 * i, 0, 0)) for i in range(count)],
            kind="sequence",
            numbers=list(range(1001, 1001 + count)),
            unregistered=unregistered,
            **settings,
        )
        reconstruction = photograph(shot)
        figures = [
            {"residual_px": value, "observations": (points or [500] * count)[i]} for i, value in enumerate(residuals)
        ]
        return replace(
            reconstruction,
            frames=tuple(
                replace(frame, extra=extra) for frame, extra in zip(reconstruction.frames, figures, strict=True)
            ),
        )

    return make


def test_quality_survives_the_file(solved, house, empty_scene, tmp_path):
    quality = house("scene.quality")
    jitters = {"jitter_before": {"rotation": 0.03}, "jitter_after": {"rotation": 0.002}}
    smoothed = {"refinement": {"smoothing": jitters}}
    result = house("scene").build_scene(replace(solved([0.2, 0.4, 0.3, 0.9], unregistered=(3,)), extra=smoothed))
    name = result.collection.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    kept = quality.kept_quality(bpy.data.collections[name])
    assert [frame.frame for frame in kept.frames] == [1001, 1002, 1003, 1004]
    assert [frame.residual_px for frame in kept.frames] == [0.2, 0.4, 0.3, None]
    assert [frame.registered for frame in kept.frames] == [True, True, True, False]
    assert (kept.registered, kept.residual_px) == (3, 0.3)
    assert kept.jitter_deg == (0.03, 0.002)
    assert isinstance(hash(kept), int), "the panel keeps its graph by it"
    assert kept.view_deg == pytest.approx(65.2, abs=0.1)  # 192 pixels at a focal length of 150
    bpy.data.collections[name]["vggt_quality"] = "{not json"
    assert quality.kept_quality(bpy.data.collections[name]) is None


def test_bad_frames_are_those_that_stand_out(solved, house, empty_scene):
    quality = house("scene.quality")
    residuals, points = [0.3] * 10, [400] * 10
    residuals[4], residuals[5], points[7] = 1.2, 0.5, 30
    reconstruction = solved(residuals, points, unregistered=(2,))
    measured = quality.measure_quality(reconstruction, house("scene.timeline").Timeline.of(reconstruction))
    assert [(bad.quality.frame, bad.why) for bad in quality.bad_frames(measured)] == [
        (1003, "missing"),
        (1005, "residual"),
        (1008, "points"),
    ]
    assert quality.advice(measured) == []


def test_frames_without_figures_are_not_bad(stage, photograph, house, empty_scene):
    reconstruction = photograph(stage.Shot([stage.look((i, 0, 0)) for i in range(3)]))
    measured = house("scene.quality").measure_quality(
        reconstruction, house("scene.timeline").Timeline.of(reconstruction)
    )
    assert measured.residual_px is None
    assert house("scene.quality").bad_frames(measured) == []


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"residuals": [0.3] * 10, "unregistered": (1, 4)}, "blurred"),
        ({"residuals": [0.3] * 10, "unregistered": (1, 2, 4, 5, 7)}, "where the camera moves"),
        ({"residuals": [1.5] * 10}, "mask"),
        ({"residuals": [0.05] * 4, "lens": (30.0, 30.0, 96.0, 54.0)}, "field of view"),
        ({"residuals": [0.05] * 4, "distortion": (-0.9, 0.0, 0.0, 0.0, 0.0)}, "bends"),
    ],
)
def test_advice_names_a_way_out(settings, word, solved, house, empty_scene):
    reconstruction = solved(**settings)
    measured = house("scene.quality").measure_quality(
        reconstruction, house("scene.timeline").Timeline.of(reconstruction)
    )
    (line,) = house("scene.quality").advice(measured)
    assert word in line


def test_a_new_solve_replaces_the_figures(solved, house, empty_scene):
    build, quality = house("scene").build_scene, house("scene.quality")
    first = build(solved([0.9] * 3))
    build(solved([0.1] * 3), house("scene").SceneOptions(setup_scene="keep"), empty_scene, first.collection)
    assert quality.kept_quality(first.collection).residual_px == pytest.approx(0.1)
