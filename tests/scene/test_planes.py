"""Depth planes: which frames, how they are cut and displaced, and that the picture on them is the plate."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


def evaluated(plane):
    bpy.context.view_layer.update()
    mesh = plane.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.zeros(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    return points.reshape(-1, 3), len(mesh.polygons)


@pytest.mark.parametrize(
    ("kind", "count", "every", "expected"),
    [("images", 11, 0, 11), ("video", 24, 0, 8), ("video", 5, 0, 5), ("video", 24, 10, 3), ("images", 11, 5, 3)],
)
def test_which_frames_get_a_plane(kind, count, every, expected, stage, photograph, house, empty_scene):
    shot = stage.Shot([stage.look((0.1 * i, 0, 0)) for i in range(count)], kind=kind, map_size=(16, 9))
    options = house("scene").SceneOptions(plane_every=every)
    assert len(house("scene").build_scene(photograph(shot), options).planes) == expected
    options = house("scene").SceneOptions(planes="none", points=False)
    result = house("scene").build_scene(photograph(shot), options)
    assert (result.planes, result.point_cloud) == ([], None)


def test_edge_threshold_cuts_the_box_from_the_wall(stage, photograph, house, empty_scene):
    shot = stage.Shot([stage.look((0, 0, 0))], map_size=(96, 54))
    plane = house("scene").build_scene(photograph(shot)).planes[0]
    set_filter = house("scene.filters").set_filter
    set_filter(plane.parent, "Confidence", 0.0)
    set_filter(plane.parent, "Edge Threshold", 1e6)
    everything, faces = evaluated(plane)
    assert (len(everything), faces) == (96 * 54, 95 * 53)
    set_filter(plane.parent, "Edge Threshold", 0.2)
    points, left = evaluated(plane)
    assert 0.9 * faces < left < faces
    # nothing is left that spans the gap between the box (up to 4 deep) and the wall behind it (8)
    mesh = plane.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    loops = np.zeros(4 * left, np.int32)
    mesh.loops.foreach_get("vertex_index", loops)
    depth = -points[loops.reshape(-1, 4)][..., 2]
    assert ((depth.max(axis=1) - depth.min(axis=1)) / depth.min(axis=1)).max() <= 0.2 + 1e-5


def test_displacement_flattens_and_confidence_cuts(stage, photograph, house, empty_scene):
    shot = stage.Shot([stage.look((0, 0, 0))], confidence=lambda pixels: 1 + pixels[..., 0])
    plane = house("scene").build_scene(photograph(shot)).planes[0]
    versions, set_filter = house("scene.versions"), house("scene.filters").set_filter
    set_filter(plane.parent, "Confidence", 0.0)
    set_filter(plane.parent, "Edge Threshold", 1e6)
    versions.set_modifier_input(plane.modifiers[0], "Displacement", 0.0)
    points, faces = evaluated(plane)
    np.testing.assert_allclose(points[:, 2], -versions.get_modifier_input(plane.modifiers[0], "Flat Depth"), rtol=1e-5)
    set_filter(plane.parent, "Confidence", 0.5)
    points, left = evaluated(plane)
    assert left / faces == pytest.approx(0.5, abs=0.06)
    assert points[:, 0].min() > -0.1 * points[:, 0].max()  # the left half went


def rendered(scene, size, path):
    """What the camera sees, (H, W, 3) sRGB bytes, through the view transform; its picture is written to `path`."""
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.render.filter_size = 0.01
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return np.asarray(pytest.importorskip("PIL.Image").open(path).convert("RGB"), int)


def smooth(pixels):
    """A picture that compression and interpolation leave alone: (h, w, 3)."""
    return np.stack([pixels[..., 0], 1.5 * pixels[..., 1], 120 + 0 * pixels[..., 0]], axis=-1).astype(np.uint8)


def test_plane_looks_like_the_plate(stage, photograph, house, empty_scene, tmp_path):
    """Rendered through its camera, with the scene's own view transform, the plane is the picture."""
    image = pytest.importorskip("PIL.Image")
    shot = stage.Shot([stage.look((0.2, 0, 0), 10, 5)], lens=(150.0, 150.0, 90.0, 60.0), pictures=True)
    reconstruction = photograph(shot)
    path = reconstruction.frames[0].path
    rows, columns = np.mgrid[:108, :192]
    image.fromarray(smooth(np.stack([columns, rows], axis=-1))).save(path)
    result = house("scene").build_scene(reconstruction, house("scene").SceneOptions(points=False))
    house("scene.filters").set_filter(result.root, "Edge Threshold", 1e6)
    house("scene.filters").set_filter(result.root, "Confidence", 0.0)
    seen = rendered(empty_scene, (192, 108), tmp_path / "seen.png")
    plate = np.asarray(image.open(path), int)
    inside = (slice(4, -4), slice(4, -4))
    assert np.abs(seen - plate)[inside].max() <= 3


def test_planes_of_a_video_show_their_own_frame(stage, photograph, house, empty_scene, tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    greys = [40, 90, 140, 190, 240, 65]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 192, 108, "yuv420p"
        stream.options = {"crf": "4"}
        for grey in greys:
            frame = av.VideoFrame.from_ndarray(np.full((108, 192, 3), grey, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    # solved from every second frame, 1, 3 and 5 of the video
    shot = stage.Shot([stage.look((0, 0, 0))] * 3, kind="video", fps=24.0, source=str(path))
    shot.numbers = [1, 3, 5]
    result = house("scene").build_scene(photograph(shot), house("scene").SceneOptions(points=False))
    assert (empty_scene.frame_start, empty_scene.frame_end) == (1, 5)
    background = result.cameras[0].data.background_images[0]
    user = background.image_user
    assert background.image.source == "MOVIE"
    assert (user.frame_start, user.frame_offset, user.frame_duration) == (1, 0, len(greys))
    house("scene.filters").set_filter(result.root, "Edge Threshold", 1e6)
    house("scene.filters").set_filter(result.root, "Confidence", 0.0)
    for current in (1, 4):  # whatever the current frame
        empty_scene.frame_set(current)
        for plane, grey in zip(result.planes, (40, 140, 240), strict=True):
            for other in result.planes:
                other.hide_render = other != plane
            seen = rendered(empty_scene, (48, 27), tmp_path / "seen.png")
            assert np.abs(seen[8:-8, 8:-8] - grey).max() <= 4
