"""The plate as a clip with its lens, tracks in it and in the scene, and the shot rendered over its plate."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

BENT = (-0.35, 0.12, 0.015, -0.02, 0.0)


def a_shot(stage, **settings):
    defaults = {
        "kind": "sequence",
        "numbers": [1001, 1002, 1003, 1004],
        "lens": (150.0, 150.0, 90.0, 60.0),
        "pictures": True,
        "sparse": True,
        "fps": 24.0,
    }
    return stage.Shot([stage.look((0.3 * i, 0, 0), 2 * i, 3) for i in range(4)], **{**defaults, **settings})


def on_surfaces(house, reconstruction, count=300):
    """The reconstruction with solved points that lie where its first and last frames see something."""
    optics, random = house("geometry.cameras"), np.random.default_rng(2)
    xyz = []
    for position in (0, 3):
        frame, depth = reconstruction.frames[position], reconstruction.depth[position]
        pixels = optics.sample_pixels(depth.shape, frame.depth_to_image).reshape(-1, 2)
        lens = house("scene.lenses").lens_of(frame)
        places = optics.unproject(pixels, depth.ravel(), frame.pose.camera_from_world, lens)
        xyz.append(places[random.choice(len(places), count // 2, replace=False)])
    points = reconstruction.points
    xyz = np.concatenate(xyz).astype(np.float32)
    tiled = {"rgb": np.tile(points.rgb[:1], (count, 1)), "observations": np.full(count, 4, np.int32)}
    error = np.linspace(0, 1, count).astype(np.float32)
    np.savez(reconstruction.folder / "points.npz", xyz=xyz, error=error, **tiled)
    return house("exchange.reconstruction").load_reconstruction(reconstruction.folder)


@pytest.fixture
def built(stage, photograph, house, empty_scene):
    """`built(**settings)` is a reconstruction, its scene, its holder and its timeline."""

    def make(**settings):
        reconstruction = on_surfaces(house, photograph(a_shot(stage, **settings)))
        result = house("scene").build_scene(reconstruction)
        holder = house("scene.collection").Holder(result.collection)
        return reconstruction, result, holder, house("scene.timeline").Timeline.of(reconstruction)

    return make


def rendered(scene, path):
    """What the compositor writes, (H, W, 3) sRGB bytes."""
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return np.asarray(pytest.importorskip("PIL.Image").open(path).convert("RGB"), int)


def test_clip_has_the_plates_frames_and_lens(built, house, empty_scene):
    reconstruction, _, holder, timeline = built()
    clip = house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    assert tuple(clip.size) == (192, 108)
    assert (clip.source, clip.frame_start, clip.frame_duration) == ("SEQUENCE", 1001, 4)
    assert house("scene.clip").clip_frame(clip, 1001) == 1
    camera = clip.tracking.camera
    assert camera.focal_length == pytest.approx(150 / 192 * 36, rel=1e-5)
    assert tuple(camera.principal_point_pixels) == pytest.approx((90, 108 - 60), abs=1e-3)
    assert (camera.brown_k1, camera.brown_p1, camera.brown_p2) == (0, 0, 0)
    assert empty_scene.active_clip == clip
    again = house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    assert again == clip
    assert len(bpy.data.movieclips) == 1


def test_stills_and_a_lost_plate_are_one_line(stage, photograph, house, built, empty_scene):
    error = house("exchange.messages").JobError
    reconstruction, _, holder, timeline = built(kind="images", numbers=None)
    with pytest.raises(error, match="a video or an image sequence"):
        house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    reconstruction, _, holder, timeline = built()
    shutil.rmtree(reconstruction.source.path)
    with pytest.raises(error, match="no longer at"):
        house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    assert len(bpy.data.movieclips) == 0


def test_blender_undoes_the_lens_as_opencv_bends_it(built, house, empty_scene, tmp_path):
    """A plate whose colors are the ideal coordinates comes out as a straight ramp."""
    image = pytest.importorskip("PIL.Image")
    reconstruction, _, holder, timeline = built(distortion=BENT)
    optics, versions = house("geometry.cameras"), house("scene.versions")
    lens = optics.Lens(150.0, 150.0, 90.0, 60.0, BENT)
    pixels = optics.sample_pixels((108, 192), np.eye(3)[:2])
    ideal = optics.rays_of_pixels(pixels, lens) * 150 + [90, 60]
    assert np.abs(ideal - pixels).max() > 8  # the lens really bends
    ramp = np.concatenate([ideal + 30, np.zeros((108, 192, 1))], axis=-1).clip(0, 255)
    image.fromarray(ramp.round().astype(np.uint8)).save(reconstruction.frames[0].path)
    clip = house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    tree, output = versions.compositor_tree(empty_scene, "check")
    plate, straight = tree.nodes.new("CompositorNodeMovieClip"), tree.nodes.new("CompositorNodeMovieDistortion")
    plate.clip = straight.clip = clip
    tree.links.new(plate.outputs["Image"], straight.inputs["Image"])
    tree.links.new(straight.outputs["Image"], output)
    seen = rendered(empty_scene, tmp_path / "straight.png")

    inside = (slice(25, -25), slice(25, -25))
    off = (seen[..., :2] - 30 - pixels)[inside]
    # Blender centres what the lens bends unevenly: the whole picture moves, no line bends
    assert np.abs(off - off.mean(axis=(0, 1))).max() < 2.0


def test_markers_are_where_the_points_are_seen(built, stage, house, empty_scene):
    reconstruction, _, holder, timeline = built(distortion=(-0.1, 0, 0, 0, 0))
    clip = house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    tracks = house("scene.tracks").shot_tracks(reconstruction, 20)
    assert tracks.visible.shape[1] > 5
    count = house("scene.track_objects").write_markers(clip, tracks, reconstruction, timeline)
    assert len(clip.tracking.tracks) == count
    checked = 0
    for index, track in enumerate(clip.tracking.tracks):
        for position, frame in enumerate(reconstruction.frames):
            marker = track.markers.find_frame(position + 1, exact=True)
            assert (marker is not None and not marker.mute) == tracks.visible[position, index]
            if tracks.visible[position, index]:
                lens = house("scene.lenses").lens_of(frame)
                seen, _ = house("geometry.cameras").project(tracks.xyz[index], frame.pose.camera_from_world, lens)
                np.testing.assert_allclose(np.array(marker.co) * [192, 108], [seen[0], 108 - seen[1]], atol=1e-3)
                checked += 1
    assert checked > 20
    mine = clip.tracking.tracks.new(name="mine", frame=2)
    house("scene.track_objects").write_markers(clip, tracks, reconstruction, timeline)
    assert len(clip.tracking.tracks) == count + 1
    assert [marker.frame for marker in mine.markers] == [2]


def test_hidden_points_are_not_seen(stage, photograph, house, empty_scene):
    """The solved points fill the room: those behind the box are not tracked through it."""
    reconstruction = on_surfaces(house, photograph(a_shot(stage)))
    tracks = house("scene.tracks").shot_tracks(reconstruction, 1000)
    for position, frame in enumerate(reconstruction.frames):
        seen = tracks.visible[position]
        origin = house("geometry.cameras").camera_center(frame.pose.camera_from_world)
        distance, _ = stage.cast(origin, tracks.xyz[seen] - origin)
        # the first thing on the ray is the point itself, but for some at an outline: a depth sample is 4 pixels wide
        assert (np.abs(distance - 1) < 0.08).mean() > 0.95
    assert 0 < tracks.visible.sum() < tracks.visible.size


def test_own_tracks_find_their_place_in_the_world(stage, photograph, house, empty_scene):
    optics = house("geometry.cameras")
    reconstruction = photograph(a_shot(stage, distortion=BENT))
    points = stage.truth_points(12)
    xy = np.stack([
        optics.project(points, frame.pose.camera_from_world, house("scene.lenses").lens_of(frame))[0]
        for frame in reconstruction.frames
    ])  # fmt: skip
    visible = ((xy > 5) & (xy < [187, 103])).all(axis=-1)
    visible[1:, 3] = False  # seen once
    np.savez(
        reconstruction.folder / "tracks.npz",
        xy=xy.astype(np.float32),
        visible=visible,
        confidence=np.ones(visible.shape, np.float32),
    )
    loaded = house("exchange.reconstruction").load_reconstruction(reconstruction.folder)
    result = house("scene").build_scene(loaded)
    holder = house("scene.collection").Holder(result.collection)
    timeline = house("scene.timeline").Timeline.of(loaded)
    tracks = house("scene.tracks").shot_tracks(loaded, 100)
    kept = visible.sum(axis=0) >= 2
    assert tracks.visible.shape[1] == kept.sum() < 12
    assert np.nanmax(tracks.error) < 0.01
    thing = house("scene.track_objects").build_track_points(holder, result.root, tracks, timeline, 4.0)
    empties = house("scene.track_objects").build_track_empties(holder, result.root, tracks, 4.0)
    bpy.context.view_layer.update()
    turn = np.array(result.root.matrix_world)
    axes = house("geometry.blender_axes")
    wanted = axes.points_to_blender(points[kept]) @ turn[:3, :3].T + turn[:3, 3]
    for places in (
        [thing.matrix_world @ vertex.co for vertex in thing.data.vertices],
        [empty.matrix_world.translation for empty in empties],
    ):
        gaps = np.linalg.norm(np.array(places)[:, None] - wanted[None], axis=-1)
        assert gaps.min(axis=1).max() < 2e-3
    fewer = house("scene.track_objects").build_track_empties(holder, result.root, tracks.pick(np.arange(2)), 4.0)
    assert fewer == empties[:2]


def test_track_points_show_while_they_are_seen(stage, photograph, house, built, empty_scene):
    reconstruction, result, holder, timeline = built()
    tracks = house("scene.tracks").shot_tracks(reconstruction, 300)
    thing = house("scene.track_objects").build_track_points(holder, result.root, tracks, timeline, 4.0)
    for position, frame in enumerate((1001, 1002, 1003, 1004)):
        empty_scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        shown = [
            len(instance.object.data.attributes["position"].data)
            for instance in graph.object_instances
            if instance.object.original == thing and instance.object.type == "POINTCLOUD"
        ]
        first, last = tracks.visible.argmax(axis=0), 3 - tracks.visible[::-1].argmax(axis=0)
        assert shown == [((first <= position) & (last >= position)).sum()]
    assert shown[0] < tracks.visible.shape[1]


@pytest.mark.parametrize("distortion", [None, (-0.12, 0.0, 0.0, 0.0, 0.0), BENT, (0.2, 0.0, 0.01, 0.01, 0.0)])
def test_the_shot_renders_over_its_plate(built, house, empty_scene, tmp_path, distortion):
    """Where there is nothing of the artist's the result is the plate; a cube covers it where its points are seen."""
    image = pytest.importorskip("PIL.Image")
    reconstruction, result, holder, timeline = built(distortion=distortion)
    clip = house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    assert house("scene.compositing").set_up_compositing(empty_scene, holder, clip, reconstruction.frames, 20.0)
    (catcher,) = [thing for thing in empty_scene.objects if thing.is_shadow_catcher]
    catcher.hide_render = True  # without a light it is all shadow
    empty_scene.frame_set(1003)
    bare = rendered(empty_scene, tmp_path / "bare.png")
    plate = np.asarray(image.open(reconstruction.frames[2].path), int)
    assert np.abs(bare - plate).max() <= 3

    center = np.array([0.6, 0.2, 3.5])
    bpy.ops.mesh.primitive_cube_add(size=0.4)
    cube = bpy.context.object
    cube.data.materials.append(house("scene.materials").plain_material("green", (0.0, 1.0, 0.0)))
    cube.parent = result.root
    cube.location = house("geometry.blender_axes").points_to_blender(center)
    covered = rendered(empty_scene, tmp_path / "covered.png")
    changed = np.abs(covered - bare).max(axis=-1) > 40
    corners = center + 0.2 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    frame = reconstruction.frames[2]
    lens = house("scene.lenses").lens_of(frame)
    seen, _ = house("geometry.cameras").project(corners, frame.pose.camera_from_world, lens)
    rows, columns = np.nonzero(changed)
    low, high = seen.min(axis=0), seen.max(axis=0)
    np.testing.assert_allclose([columns.min(), rows.min()], low, atol=1.5)
    np.testing.assert_allclose([columns.max() + 1, rows.max() + 1], high, atol=1.5)


@pytest.mark.parametrize("distortion", [(-0.12, 0.0, 0.0, 0.0, 0.0), BENT])
def test_a_barrel_lens_is_covered_to_its_corners(built, house, empty_scene, tmp_path, distortion):
    reconstruction, _, holder, timeline = built(distortion=distortion)
    clip = house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    set_up = house("scene.compositing").set_up_compositing
    assert set_up(empty_scene, holder, clip, reconstruction.frames, 20.0)
    catcher = next(thing for thing in empty_scene.objects if thing.is_shadow_catcher)
    catcher.hide_render = True
    bpy.ops.mesh.primitive_plane_add(size=60)  # all that the camera sees
    wall = bpy.context.object
    wall.parent = holder.find("camera")
    wall.location = (0, 0, -5)
    wall.data.materials.append(house("scene.materials").plain_material("green", (0.0, 1.0, 0.0)))
    empty_scene.frame_set(1003)
    picture = rendered(empty_scene, tmp_path / "wall.png")
    assert (picture[..., 1] > 250).all()
    assert (picture[..., 0] < 5).all()
    assert empty_scene.camera == holder.find("render camera")
    assert house("scene.look").go_to_frame(empty_scene, holder, reconstruction.frames[1].name, 1002)
    assert empty_scene.camera == holder.find("render camera")


def test_a_second_set_up_takes_the_place_of_the_first_and_keeps_what_follows(built, house, empty_scene, tmp_path):
    reconstruction, _, holder, timeline = built(distortion=BENT)
    clip = house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    set_up = house("scene.compositing").set_up_compositing
    set_up(empty_scene, holder, clip, reconstruction.frames, 20.0)
    tree, _ = house("scene.versions").compositor_tree(empty_scene, "x")
    over = next(node for node in tree.nodes if node.bl_idname == "CompositorNodeAlphaOver")
    (link,) = over.outputs["Image"].links
    end, blur = link.to_socket, tree.nodes.new("CompositorNodeBlur")
    tree.links.new(over.outputs["Image"], blur.inputs["Image"])
    tree.links.new(blur.outputs["Image"], end)
    count, wider = len(tree.nodes), holder.find("render camera")
    assert set_up(empty_scene, holder, clip, reconstruction.frames, 20.0)
    assert (len(tree.nodes), holder.find("render camera")) == (count, wider)
    assert (over.outputs["Image"].links[0].to_node, end.links[0].from_node) == (blur, blur)

    house("delivery.formats").export(reconstruction, "undistorted", reconstruction.folder / "undistorted")
    plates = house("exchange.undistorted").with_straight_plates(reconstruction)
    house("scene.clip").build_clip(holder, plates, timeline, empty_scene)
    assert set_up(empty_scene, holder, clip, plates.frames, 20.0)
    assert Path(bpy.path.abspath(clip.filepath)).parent.name == "undistorted"
    assert tuple(clip.size) == (plates.frames[0].width, plates.frames[0].height)
    assert not [node for node in tree.nodes if node.bl_idname == "CompositorNodeMapUV"]
    assert (empty_scene.camera, holder.find("render camera")) == (holder.find("camera"), None)
    assert over.outputs["Image"].links[0].to_node == blur


def test_a_compositor_in_use_is_not_rewired(built, house, empty_scene):
    reconstruction, _, holder, timeline = built()
    clip = house("scene.clip").build_clip(holder, reconstruction, timeline, empty_scene)
    tree, output = house("scene.versions").compositor_tree(empty_scene, "mine")
    blur, layers = tree.nodes.new("CompositorNodeBlur"), tree.nodes.new("CompositorNodeRLayers")
    tree.links.new(layers.outputs["Image"], blur.inputs["Image"])
    tree.links.new(blur.outputs["Image"], output)
    assert not house("scene.compositing").set_up_compositing(empty_scene, holder, clip, reconstruction.frames, 20.0)
    assert output.links[0].from_node == blur
    assert any(node.bl_idname == "CompositorNodeMovieClip" for node in tree.nodes)
