"""The point cloud: its attributes, its live inputs, and nothing that is not in the picture."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


def values(mesh, name, key="value", width=1):
    data = mesh.attributes[name].data
    flat = np.zeros(
        len(data) * width, np.int32 if key == "value" and mesh.attributes[name].data_type == "INT" else np.float32
    )
    data.foreach_get(key, flat)
    return flat.reshape(-1, width) if width > 1 else flat


def shown(thing):
    """Positions (N, 3) and radii (N,) of the points that the object really draws."""
    bpy.context.view_layer.update()
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        if instance.object.original == thing and instance.object.type == "POINTCLOUD":
            cloud = instance.object.data
            return (
                values(cloud, "position", "vector", 3),
                values(cloud, "radius"),
                [m.name for m in cloud.materials if m],
            )
    return np.zeros((0, 3)), np.zeros(0), []


@pytest.fixture
def cloud(stage, photograph, house, empty_scene):
    shot = stage.Shot(
        [stage.look((0.3 * i, 0, 0), yaw=4 * i) for i in range(3)],
        kind="sequence",
        numbers=[1001, 1002, 1003],
        confidence=lambda pixels: 1 + 1000 * pixels[..., 0],  # grows to the right, on a scale of its own
    )
    reconstruction = photograph(shot)
    return reconstruction, house("scene").build_scene(reconstruction).point_cloud


def test_attributes_are_those_of_the_samples(cloud, house):
    reconstruction, thing = cloud
    mesh = thing.data
    count = 3 * 48 * 27
    assert len(mesh.vertices) == count
    assert sorted(set(values(mesh, "frame"))) == [1001, 1002, 1003]
    np.testing.assert_array_equal(values(mesh, "confidence"), reconstruction.confidence.ravel())
    assert mesh.attributes["Col"].data_type == "BYTE_COLOR"
    rgb = np.rint(values(mesh, "Col", "color_srgb", 4)[:, :3] * 255)
    np.testing.assert_array_equal(rgb, reconstruction.color.reshape(-1, 3))
    # each point really has the color of the place where it is
    world = house("geometry.blender_axes").points_from_blender(values(mesh, "position", "vector", 3))
    first = values(mesh, "frame") == 1001
    depth = reconstruction.depth[0].ravel()
    np.testing.assert_allclose(world[first][:, 2], depth, rtol=1e-5)


def test_confidence_hides_a_share_on_any_scale(cloud, house):
    _, thing = cloud
    set_filter = house("scene.filters").set_filter
    set_filter(thing.parent, "Edge Threshold", 1e6)
    for share in (0.0, 0.25, 0.5, 0.9):
        set_filter(thing.parent, "Confidence", share)
        positions, _, _ = shown(thing)
        assert len(positions) / len(thing.data.vertices) == pytest.approx(1 - share, abs=0.03)
    # 0.9 leaves the right-hand edge of the pictures
    confident = values(thing.data, "confidence") >= np.quantile(values(thing.data, "confidence"), 0.93)
    wanted = values(thing.data, "position", "vector", 3)[confident]
    assert {tuple(row) for row in wanted.round(4)} <= {tuple(row) for row in positions.round(4)}


def test_radius_density_and_edges_are_live(cloud, house):
    _, thing = cloud
    versions, set_filter = house("scene.versions"), house("scene.filters").set_filter
    modifier = thing.modifiers[0]
    set_filter(thing.parent, "Confidence", 0.0)
    set_filter(thing.parent, "Edge Threshold", 1e6)
    versions.set_modifier_input(modifier, "Radius", 0.25)
    positions, radii, materials = shown(thing)
    assert len(positions) == len(thing.data.vertices)
    np.testing.assert_allclose(radii, 0.25)
    assert materials == [versions.get_modifier_input(modifier, "Material").name]
    versions.set_modifier_input(modifier, "Density", 0.3)
    assert len(shown(thing)[0]) / len(positions) == pytest.approx(0.3, abs=0.05)
    versions.set_modifier_input(modifier, "Density", 1.0)
    set_filter(thing.parent, "Edge Threshold", 0.1)
    cut, _, _ = shown(thing)
    assert len(cut) == (values(thing.data, "edge") <= 0.1).sum() < len(positions)
    # what goes lies at the box's outline: samples whose neighbour is at another depth
    assert 0 < (values(thing.data, "edge") > 0.1).mean() < 0.2


def test_all_equal_confidence_shows_everything(stage, photograph, house, empty_scene):
    thing = house("scene").build_scene(photograph(stage.Shot([stage.look((0, 0, 0))]))).point_cloud
    house("scene.filters").set_filter(thing.parent, "Edge Threshold", 1e6)
    assert len(shown(thing)[0]) == 48 * 27


def test_limit_is_kept_and_spread_over_all_frames(stage, photograph, house, empty_scene):
    shot = stage.Shot([stage.look((i, 0, 0)) for i in range(3)])
    options = house("scene").SceneOptions(point_limit=1000)
    mesh = house("scene").build_scene(photograph(shot), options).point_cloud.data
    assert 990 <= len(mesh.vertices) <= 1000
    marked = np.column_stack([values(mesh, "position", "vector", 3), values(mesh, "frame")])
    assert len(np.unique(marked, axis=0)) == len(marked)
    assert np.bincount(values(mesh, "frame")).tolist()[1:] == pytest.approx([333] * 3, abs=1)


def test_padding_and_unknown_depth_are_no_points(stage, photograph, house, empty_scene):
    affine = np.array([[4.8, 0, -48.0], [0, 4.8, -21.6]])  # a map wider than the picture on every side
    shot = stage.Shot([stage.look((0, 0, 0))], depth_to_image=affine, map_size=(60, 32))
    shot.confidence = lambda pixels: np.where(pixels[..., 0] < 30, 0.0, 1.0)  # and a part that nobody vouches for
    reconstruction = photograph(shot)
    known = int((np.isfinite(reconstruction.depth) & (reconstruction.confidence > 0)).sum())
    assert known < np.isfinite(reconstruction.depth).sum() < reconstruction.depth.size
    result = house("scene").build_scene(reconstruction)
    assert len(result.point_cloud.data.vertices) == known
    assert len(result.planes[0].data.vertices) == known
    assert np.isfinite(values(result.planes[0].data, "depth")).all()


def test_sparse_points_are_a_cloud_of_their_own(stage, photograph, house, empty_scene):
    shot = stage.Shot([stage.look((0, 0, 0))], sparse=True)
    reconstruction = photograph(shot)
    result = house("scene").build_scene(reconstruction)
    mesh = result.sparse_cloud.data
    xyz = house("geometry.blender_axes").points_from_blender(values(mesh, "position", "vector", 3))
    np.testing.assert_allclose(xyz, reconstruction.points.xyz, atol=1e-6)
    np.testing.assert_array_equal(values(mesh, "error"), reconstruction.points.error)
    house("scene.filters").set_filter(result.sparse_cloud.parent, "Confidence", 0.5)
    visible, _, _ = shown(result.sparse_cloud)
    errors = reconstruction.points.error
    kept = {tuple(row) for row in visible.round(3)}
    best = values(mesh, "position", "vector", 3)[errors < np.quantile(errors, 0.45)]
    assert {tuple(row) for row in best.round(3)} <= kept
    assert len(visible) / len(errors) == pytest.approx(0.5, abs=0.05)


def test_solid_shading_is_told_the_colors(stage, photograph, house, empty_scene):
    """Points have one color there, the mean of theirs; planes show the attribute where the viewport asks for it."""
    result = house("scene").build_scene(photograph(stage.Shot([stage.look((0, 0, 0))])))
    material = house("scene.versions").get_modifier_input(result.point_cloud.modifiers[0], "Material")
    rgb = values(result.point_cloud.data, "Col", "color_srgb", 4)[:, :3]
    np.testing.assert_allclose(np.array(material.diffuse_color)[:3], rgb.mean(axis=0) ** 2.2, atol=0.02)
    assert result.planes[0].data.color_attributes.active_color.name == "Col"
