"""Markers of a clip as hand tracks: the right pixels, the right frames, the artist's own, with measured places."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


@pytest.fixture
def plate(photograph, stage, house, empty_scene):
    """A solved sequence 1001 ... 1004 of 192 x 108 pixels, and its clip."""
    shot = stage.Shot(
        [stage.look((0.3 * i, 0, 0), 2 * i, 3) for i in range(4)],
        kind="sequence",
        numbers=[1001, 1002, 1003, 1004],
        lens=(150.0, 150.0, 90.0, 60.0),
        pictures=True,
        sparse=True,
    )
    reconstruction = photograph(shot)
    result = house("scene").build_scene(reconstruction)
    holder = house("scene.collection").Holder(result.collection)
    timeline = house("scene.timeline").Timeline.of(reconstruction)
    return reconstruction, house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene), timeline


def place(clip, name: str, marks: dict[int, tuple[float, float]]):
    track = clip.tracking.tracks.new(name=name, frame=min(marks))
    for frame, co in marks.items():
        track.markers.insert_frame(frame, co=co)
    return track


def test_markers_are_source_pixels_of_the_files_that_the_clip_shows(plate, house, empty_scene):
    _, clip, _ = plate
    gather = house("scene.clip_tracks").clip_hand_tracks
    # the centre of the top-left pixel, and of the one to the right of the middle line
    place(clip, "corner", {1: (0.5 / 192, 1 - 0.5 / 108), 3: (96.5 / 192, 0.25)})
    (track,) = gather(clip, empty_scene).tracks
    assert track.name == "corner"
    frames, *xy = zip(*track.observations, strict=True)
    assert [str(name).rpartition("/")[2] for name in frames] == [
        house("exchange.reconstruction").load_reconstruction(plate[0].folder).frames[k].name for k in (0, 2)
    ]
    np.testing.assert_allclose(np.transpose(xy), [(0.5, 0.5), (96.5, 81.0)], atol=1e-3)
    clip.frame_offset = 1  # the footage starts one file later; markers stay with the clip's own frames
    assert [name[-8:] for name, _, _ in gather(clip, empty_scene).tracks[0].observations] == ["1002.png", "1004.png"]


def test_our_own_tracks_and_what_is_switched_off_are_left_out(plate, house, empty_scene):
    reconstruction, clip, timeline = plate
    module = house("scene.clip_tracks")
    with pytest.raises(house("exchange.messages").JobError, match="no tracks"):
        module.clip_hand_tracks(clip, empty_scene)
    tracks = house("scene.tracks").shot_tracks(reconstruction, 6)
    assert house("scene.track_objects").write_markers(clip, tracks, reconstruction, timeline) > 0
    hand = place(clip, "door", {1: (0.5, 0.5), 2: (0.6, 0.5), 3: (1.2, 0.5)})
    hand.markers.find_frame(2).mute = True
    place(clip, "off", {1: (0.5, 0.5)}).markers.find_frame(1).mute = True
    (track,) = module.clip_hand_tracks(clip, empty_scene).tracks
    assert track.name == "door"
    assert len(track.observations) == 1, "neither the marker that is off nor the one beyond the picture"


def test_what_we_write_into_a_clip_comes_back_as_it_was(plate, house, empty_scene):
    reconstruction, clip, timeline = plate
    tracks = house("scene.tracks").shot_tracks(reconstruction, 4)
    house("scene.track_objects").write_markers(clip, tracks, reconstruction, timeline)
    for track in clip.tracking.tracks:
        track.name = f"mine {track.name[-3:]}"
    found = {track.name: track for track in house("scene.clip_tracks").clip_hand_tracks(clip, empty_scene).tracks}
    for index in range(tracks.visible.shape[1]):
        seen = np.flatnonzero(tracks.visible[:, index])
        xy = np.array([(x, y) for _, x, y in found[f"mine {index + 1:03d}"].observations])
        np.testing.assert_allclose(xy, tracks.xy[seen, index], atol=1e-3)


def test_objects_mark_measured_places_in_metres(plate, house, empty_scene):
    _, clip, _ = plate
    module = house("scene.clip_tracks")
    place(clip, "door", {1: (0.5, 0.5), 2: (0.6, 0.5)})
    empty_scene.unit_settings.scale_length = 0.01  # a scene in centimetres
    empties = [bpy.data.objects.new(name, None) for name in ("measured", "again")]
    for empty in empties:
        empty_scene.collection.objects.link(empty)
    empties[0].location = (120.4, 337.7, 210.0)
    empties[0][module.SURVEY] = "door"
    bpy.context.view_layer.update()
    (track,) = module.clip_hand_tracks(clip, empty_scene).tracks
    assert track.xyz == pytest.approx((1.204, 3.377, 2.1))
    empties[1][module.SURVEY] = "door"
    with pytest.raises(house("exchange.messages").JobError, match="both are the measured place of track 'door'"):
        module.clip_hand_tracks(clip, empty_scene)


def test_a_clip_belongs_to_its_own_source(plate, house, tmp_path):
    reconstruction, clip, _ = plate
    shows = house("scene.clip_tracks").shows
    assert shows(clip, [reconstruction.source.path]) or shows(clip, [reconstruction.frames[0].path])
    assert shows(clip, [frame.path for frame in reconstruction.frames])
    assert not shows(clip, [str(tmp_path / "elsewhere")])


def test_a_plate_beside_the_folder_of_the_blend_is_known_again(plate, house, tmp_path):
    """Where the .blend was saved, Blender stores the way from there, with ``..`` in it."""
    reconstruction, clip, timeline = plate
    (tmp_path / "scenes").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scenes" / "shot.blend"))
    clip.filepath = bpy.path.relpath(bpy.path.abspath(clip.filepath))
    assert clip.filepath.startswith("//..")
    assert house("scene.clip_tracks").shows(clip, reconstruction.inputs())
    camera, plates = bpy.data.cameras.new("camera"), house("scene.plate")
    assert plates.show_plate(camera, reconstruction, 0, timeline)
    (background,) = camera.background_images
    image = background.image
    assert image.filepath.startswith("//..")
    assert plates.show_plate(camera, reconstruction, 0, timeline)
    assert background.image == image, "the same plate again is the same image"


def test_a_surveyed_result_stands_where_the_points_are(plate, house, empty_scene, photograph, stage):
    """In Blender the coordinates are those that were typed, whatever the scene's unit and whatever was there before."""
    import json

    reconstruction, _, _ = plate
    file = reconstruction.folder / "reconstruction.json"
    document = json.loads(file.read_text())
    document["units"] = "m"
    document["hand_tracks"] = {"gives": "survey", "tracks": []}
    file.write_text(json.dumps(document))
    empty_scene.unit_settings.scale_length = 0.01
    result = house("exchange.reconstruction").load_reconstruction(reconstruction.folder)
    build = house("scene").build_scene(
        result, house("scene.build").SceneOptions(setup_scene="keep"), empty_scene, empty_scene.collection.children[0]
    )
    bpy.context.view_layer.update()
    center = house("geometry.cameras").camera_center(result.frames[0].pose.camera_from_world)
    expected = 100 * house("geometry.blender_axes").points_to_blender(center)
    empty_scene.frame_set(1001)
    np.testing.assert_allclose(build.cameras[0].matrix_world.translation, expected, atol=1e-3)
    build.root.location = (5, 0, 0)  # what the artist does then, stays
    house("scene").build_scene(
        result, house("scene.build").SceneOptions(setup_scene="keep"), empty_scene, empty_scene.collection.children[0]
    )
    assert tuple(build.root.location) == (5, 0, 0)
