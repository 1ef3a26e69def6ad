"""Tracks of the Clip Editor arrive in the job, measured places with them; the panel shows how the solve agreed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "plates"
    folder.mkdir()
    for number in range(1001, 1004):
        image.fromarray(np.full((36, 64, 3), 90, np.uint8)).save(folder / f"plate.{number}.png")
    return folder


def job(addon: ModuleType, settings: object) -> object:
    return addon.operators.solve.job_of(settings, "/out")


def test_clip_tracks_and_measured_places_arrive_in_the_job(bpy: ModuleType, addon: ModuleType, plates: Path) -> None:
    scene = bpy.context.scene
    settings = scene.vggt
    assert not bpy.ops.vggt.use_clip_tracks.poll()
    settings.source = str(plates)
    assert not job(addon, settings).hand_tracks
    assert bpy.ops.vggt.use_clip_tracks() == {"FINISHED"}
    (clip,) = bpy.data.movieclips
    assert (settings.clip, scene.active_clip, clip.frame_start) == (clip, clip, 1001)
    with pytest.raises(addon.vggt_blender.exchange.messages.JobError, match="no tracks"):
        job(addon, settings)
    assert not bpy.ops.vggt.mark_survey_point.poll()
    track = clip.tracking.tracks.new(name="door", frame=1)
    track.markers.insert_frame(1, co=(0.25, 0.5))
    track.markers.insert_frame(2, co=(0.5, 0.5))
    clip.tracking.tracks.active = track
    scene.cursor.location = (1, 2, 3)
    assert bpy.ops.vggt.mark_survey_point(place="CURSOR") == {"FINISHED"}
    (found,) = job(addon, settings).hand_tracks.tracks
    assert (found.name, found.xyz) == ("door", (1, 2, 3))
    assert found.observations == (("plate.1001.png", 16.0, 18.0), ("plate.1002.png", 32.0, 18.0))
    # an object of the artist's own takes the empty's place
    own = bpy.data.objects.new("total station 7", None)
    scene.collection.objects.link(own)
    own.location = (4, 5, 6)
    bpy.context.view_layer.objects.active = own
    bpy.context.view_layer.update()
    assert bpy.ops.vggt.mark_survey_point(place="OBJECT") == {"FINISHED"}
    (found,) = job(addon, settings).hand_tracks.tracks
    assert found.xyz == (4, 5, 6)
    assert bpy.ops.vggt.use_clip_tracks() == {"FINISHED"}
    assert len(bpy.data.movieclips) == 1, "the clip that is there is used"


def test_a_clip_of_another_plate_is_refused_in_one_line(
    bpy: ModuleType, addon: ModuleType, plates: Path, tmp_path: Path
) -> None:
    settings = bpy.context.scene.vggt
    settings.source = str(plates)
    bpy.ops.vggt.use_clip_tracks()
    settings.source = str(tmp_path)
    with pytest.raises(addon.vggt_blender.exchange.messages.JobError, match="another plate"):
        job(addon, settings)
    with pytest.raises(RuntimeError, match="separate photos are no clip"):
        bpy.ops.vggt.use_clip_tracks()
