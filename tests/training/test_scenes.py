"""Generated scenes: their truth by projection, their repeatability, and that there is something to see."""

from __future__ import annotations

import pytest
import torch

from vggt_blender.training.scenes import SceneConfig, SceneGenerator
from vggt_blender.training.scenes.generator import NEVER
from vggt_blender.training.scenes.layout import random_layout, terrain_height
from vggt_blender.training.scenes.paths import Cameras, look_at, random_cameras
from vggt_blender.training.scenes.tracing import first_depth, nearest_distance, nearest_object, trace
from vggt_blender.training.scenes.views import camera_rays, project

QUICK = SceneConfig(supersample=1, shadows=False, tracks=40, images_per_chunk=4)


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["rooms and grounds", "terrain"])
def batch(request) -> dict[str, torch.Tensor]:
    config = SceneConfig(supersample=1, shadows=False, tracks=40, images_per_chunk=4, terrain=request.param)
    return SceneGenerator(config, seed=4).batch(1, scenes=6, frames=3, height=42, width=56)


def test_shapes_and_ranges(batch):
    assert batch["images"].shape == (6, 3, 3, 42, 56)
    assert batch["images"].min() >= 0
    assert batch["images"].max() <= 1
    assert batch["depths"].shape == (6, 3, 42, 56)
    assert all(torch.isfinite(value).all() for value in batch.values())
    assert (batch["depths"] >= 0).all()
    assert torch.equal(batch["point_masks"], batch["depths"] > 0)
    assert batch["point_masks"].float().mean() > 0.5


def test_points_project_back_to_their_own_pixels(batch):
    points = batch["world_points"].double()
    rows, columns = torch.meshgrid(torch.arange(42.0), torch.arange(56.0), indexing="ij")
    centers = torch.stack([columns, rows], -1).reshape(-1, 2) + 0.5
    for frame in range(3):
        pixels, depth = project(
            points[:, frame].flatten(1, 2),
            batch["extrinsics"][:, frame : frame + 1].double(),
            batch["intrinsics"][:, frame : frame + 1].double(),
        )
        mask = batch["point_masks"][:, frame].flatten(1)
        assert (pixels[:, 0] - centers)[mask].abs().max() < 1e-3
        torch.testing.assert_close(
            depth[:, 0][mask].float(), batch["depths"][:, frame].flatten(1)[mask], rtol=1e-4, atol=0
        )


def test_flat_floors_are_flat():
    """The depth of a pixel is that of its centre: half a pixel off, and floors would tilt."""
    batch = SceneGenerator(SceneConfig(supersample=1, shadows=False, terrain=0.0), seed=4).batch(0, 8, 2, 42, 56)
    height = batch["world_points"][..., 2][batch["point_masks"]]
    assert height.min() > -1e-4
    assert (height.abs() < 1e-4).float().mean() > 0.05


def test_cameras_are_rigid_and_centred(batch):
    rotation = batch["extrinsics"][..., :3]
    torch.testing.assert_close(
        rotation @ rotation.transpose(-1, -2), torch.eye(3).expand_as(rotation), atol=1e-5, rtol=0
    )
    assert (torch.linalg.det(rotation) > 0.99).all()
    assert (batch["intrinsics"][..., 0, 2] == 28).all()
    assert (batch["intrinsics"][..., 1, 2] == 21).all()
    degrees = torch.rad2deg(2 * torch.atan(28 / batch["intrinsics"][..., 0, 0]))
    assert ((degrees > 15) & (degrees < 115)).all()


def test_a_point_seen_from_two_frames_is_one_point(batch):
    """A visible track meets, in the other frame's own depth map, a surface at the track's own depth."""
    tracks, visible = batch["tracks"], batch["track_visible"]
    points = batch["world_points"]
    start = tracks[:, 0].floor().long()
    own = points[:, 0][torch.arange(6)[:, None], start[..., 1], start[..., 0]]
    _, depth = project(own, batch["extrinsics"], batch["intrinsics"])
    assert visible[:, 0].float().mean() > 0.95  # every track starts where it is seen
    assert 0.2 < visible[:, 1:].float().mean() < 0.999
    agree = []
    for frame in (1, 2):
        place = tracks[:, frame].floor().long()
        x, y = place[..., 0].clamp(0, 55), place[..., 1].clamp(0, 41)
        there = batch["depths"][torch.arange(6)[:, None], frame, y, x]
        close = (there / depth[:, frame] - 1).abs() < 0.1  # a pixel is wide at a grazing angle
        agree.append(close[visible[:, frame]])
    assert torch.cat(agree).float().mean() > 0.9


def test_hidden_tracks_are_behind_something_or_outside(batch):
    tracks, visible = batch["tracks"], batch["track_visible"]
    inside = ((tracks > 0) & (tracks < torch.tensor([56.0, 42.0]))).all(-1)
    assert not (visible & ~inside).any()
    start = tracks[:, 0].floor().long()
    own = batch["world_points"][:, 0][torch.arange(6)[:, None], start[..., 1], start[..., 0]]
    _, depth = project(own, batch["extrinsics"], batch["intrinsics"])
    hidden = inside & ~visible & (depth > 0)
    hidden[:, 0] = False
    x, y = tracks[..., 0].clamp(0, 55).long(), tracks[..., 1].clamp(0, 41).long()
    scene, frame = torch.arange(6)[:, None, None], torch.arange(3)[None, :, None]
    nearest = batch["depths"][scene, frame, y, x]
    if hidden.any():
        assert ((nearest > 0) & (nearest < depth * 1.02))[hidden].float().mean() > 0.8


def test_one_seed_is_one_stream():
    a = SceneGenerator(QUICK, seed=9).batch(5, 2, 2, 28, 28)
    again = SceneGenerator(QUICK, seed=9)
    again.batch(0, 3, 2, 28, 28)
    b = again.batch(5, 2, 2, 28, 28)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    other = SceneGenerator(QUICK, seed=10).batch(5, 2, 2, 28, 28)
    assert not torch.equal(a["images"], other["images"])


def test_chunks_bound_the_memory_and_change_nothing():
    whole = SceneGenerator(SceneConfig(supersample=2, images_per_chunk=64), seed=2).batch(0, 2, 3, 28, 42)
    parts = SceneGenerator(SceneConfig(supersample=2, images_per_chunk=2), seed=2).batch(0, 2, 3, 28, 42)
    torch.testing.assert_close(whole["depths"], parts["depths"], rtol=1e-4, atol=1e-4)
    assert (whole["images"] - parts["images"]).abs().mean() < 1e-3


def test_frames_overlap():
    """Most of what one frame shows, another frame of its scene shows too."""
    batch = SceneGenerator(QUICK, seed=1).batch(0, scenes=12, frames=4, height=28, width=42)
    linked = []
    for scene in range(12):
        best = []
        for j in range(1, 4):
            mask = batch["point_masks"][scene, j].flatten()
            points = batch["world_points"][scene, j].flatten(0, 1)[mask]
            others = [i for i in range(4) if i != j]
            pixels, depth = project(
                points[None], batch["extrinsics"][scene, others][None], batch["intrinsics"][scene, others][None]
            )
            x, y = pixels[0, ..., 0].floor().long(), pixels[0, ..., 1].floor().long()
            inside = (depth[0] > 0) & (x >= 0) & (x < 42) & (y >= 0) & (y < 28)
            there = batch["depths"][scene, others][torch.arange(3)[:, None], y.clamp(0, 27), x.clamp(0, 41)]
            best.append(float((inside & ((there / depth[0] - 1).abs() < 0.1)).float().mean(-1).max()))
        linked.append(min(best))
    assert sorted(linked)[2] > 0.2  # all but two of the twelve
    assert sum(linked) / 12 > 0.4


def test_pictures_have_texture_and_differ():
    images = SceneGenerator(SceneConfig(supersample=1, shadows=False), seed=6).batch(0, 16, 2, 42, 56)["images"][:, 0]
    detail = (images[..., 1:] - images[..., :-1]).abs().mean(dim=(1, 2, 3))
    assert detail.median() > 0.02
    assert images.std(dim=(1, 2, 3)).median() > 0.1
    assert images.mean(dim=(2, 3)).std(dim=0).min() > 0.05  # scenes differ in color
    assert (images.mean(dim=(1, 2, 3)) > 0.03).all()


def empty_scene() -> dict[str, torch.Tensor]:
    layout = random_layout(torch.Generator().manual_seed(0), 1, outdoor=0.0, terrain=False, pictures=0)
    layout["center"][..., 2] = -1000.0
    layout["triangles"][..., 2] -= 1000.0
    layout["room"] = torch.tensor([[5.0, 4.0, 1.5]])
    return layout


def trace_depth(scene, origin, direction, terrain):
    return first_depth(scene, origin, direction, nearest_distance(scene, origin, direction), terrain)


def one_pixel(position, focus):
    pose = look_at(torch.tensor([position]), torch.tensor([focus]), torch.zeros(1))
    intrinsics = torch.tensor([[[50.0, 0, 20], [0, 50.0, 20], [0, 0, 1]]])
    return camera_rays(Cameras(pose, intrinsics), torch.tensor([[[20.0, 20.0]]]))


@pytest.mark.parametrize(
    ("object_index", "depth", "normal"),
    [
        (14, 3.0 - 0.5, (-1, 0, 0)),  # a box, 1 m wide
        (24, 3.0 - 0.5, (-1, 0, 0)),  # a sphere
        (30, 3.0 - 0.5, (-1, 0, 0)),  # a cylinder
        (36, 3.0 - 0.5, (-1, 0, 0)),  # a polytope with a box's planes
    ],
)
def test_shapes_are_where_they_should_be(object_index, depth, normal):
    scene = empty_scene()
    scene["center"][0, object_index] = torch.tensor([0.0, 0.0, 1.0])
    scene["half"][0, object_index] = 0.5
    scene["affine"][0, object_index] = torch.eye(3) * 2
    axes = torch.tensor([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [0.1, 0, 0], [0, 0.1, 0]])
    scene["planes"][0, :] = axes
    origin, direction = one_pixel([-3.0, 0.0, 1.0], [0.0, 0.0, 1.0])
    hits = trace(scene, origin, direction, *nearest_object(scene, origin, direction), terrain=False)
    assert float(hits.t) == pytest.approx(depth, abs=1e-5)
    torch.testing.assert_close(hits.normal[0, :, 0], torch.tensor(normal, dtype=torch.float32), atol=1e-5, rtol=0)
    assert int(hits.surface) == object_index + 4


def test_a_mesh_is_closed_from_all_sides():
    scene = empty_scene()
    fresh = random_layout(torch.Generator().manual_seed(1), 1, outdoor=0.0, terrain=False, pictures=0)
    rocks = fresh["triangles"][:, :20]
    middle = rocks.mean(dim=(1, 2))
    scene["triangles"][:, :20] = rocks - middle[:, None, None] + torch.tensor([0.0, 0.0, 1.5])
    extent = (rocks - middle[:, None, None]).norm(dim=-1)
    for angle in torch.linspace(0, 6.2, 25):
        away = [4 * float(torch.cos(angle)), 3.5 * float(torch.sin(angle)), 1.5]
        origin, direction = one_pixel(away, [0.0, 0.0, 1.5])
        distance = float(origin.sub(torch.tensor([0.0, 0.0, 1.5])).norm())
        t = float(trace_depth(scene, origin, direction, False))
        assert distance - float(extent.max()) - 1e-4 < t < distance


def test_the_room_and_the_ground():
    scene = empty_scene()
    origin, direction = one_pixel([0.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    assert float(trace_depth(scene, origin, direction, False)) == pytest.approx(5.0, abs=1e-5)
    origin, direction = one_pixel([0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    assert float(trace_depth(scene, origin, direction, False)) == pytest.approx(2**0.5, abs=1e-5)
    scene["outdoor"] = torch.ones(1)
    origin, direction = one_pixel([0.0, 0.0, 1.0], [1.0, 0.0, 1.2])
    assert float(trace_depth(scene, origin, direction, False)) == NEVER


def test_the_marched_ground_is_the_height_function():
    layout = random_layout(torch.Generator().manual_seed(2), 8, outdoor=1.0, terrain=True, pictures=0)
    layout["center"][..., 2], layout["triangles"][..., 2] = -1000.0, -1000.0
    reach = layout["reach"]
    position = torch.stack([reach * 0, reach * 0, reach * 1.5], -1)
    focus = torch.stack([reach * 0.6, reach * 0.3, reach * 0], -1)
    pose = look_at(position, focus, torch.zeros(8))
    intrinsics = torch.tensor([[30.0, 0, 20], [0, 30.0, 20], [0, 0, 1]]).expand(8, 3, 3)
    pixels = torch.rand(1, 200, 2, generator=torch.Generator().manual_seed(0)) * 40
    origin, direction = camera_rays(Cameras(pose, intrinsics), pixels)
    t = trace_depth(layout, origin, direction, True)
    found = t < NEVER
    assert found.float().mean() > 0.8
    points = origin[..., None] + t[:, None] * direction
    gap = points[:, 2] - terrain_height(layout["waves"], points[:, 0], points[:, 1])
    assert (gap / reach[:, None])[found].abs().max() < 1e-4


def chosen_cameras(candidates: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Poses of many scenes as they are picked, nothing rendered, and each scene's radius."""
    generator = SceneGenerator(SceneConfig(candidates=candidates, images_per_chunk=64), seed=3)
    layout, cameras = generator._choose(torch.Generator().manual_seed(7), 64, frames, 126, 224, terrain=False)
    return cameras.extrinsics.double(), layout["reach"].double()


def centers(poses: torch.Tensor) -> torch.Tensor:
    return -(poses[..., :3].transpose(-1, -2) @ poses[..., 3:])[..., 0]


def test_picking_scenes_does_not_pick_those_that_hardly_move():
    spans = []
    for candidates in (1, 4):
        poses, reach = chosen_cameras(candidates, 4)
        turn = poses[:, 1:, :, :3] @ poses[:, :1, :, :3].transpose(-1, -2)
        angle = torch.rad2deg(torch.acos(((turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1)))
        place = centers(poses)
        i, j = torch.triu_indices(4, 4, 1)
        apart = (place[:, i] - place[:, j]).norm(dim=-1) / reach[:, None]
        spans.append((angle.median(), angle.flatten().quantile(0.9), apart.median(), (apart < 0.02).double().mean()))
    (median, large, far, still), (median_picked, large_picked, far_picked, still_picked) = spans
    assert median_picked > 0.8 * median
    assert large_picked > 0.75 * large
    assert far_picked > 0.8 * far
    assert still_picked <= still


def test_cameras_go_left_and_back_as_often_as_right_and_forward():
    generator = torch.Generator().manual_seed(7)
    layout = random_layout(generator, 800, outdoor=0.3, terrain=False, pictures=0)
    poses = random_cameras(generator, layout, 4, 126, 224).extrinsics
    moved = torch.einsum("bij,bsj->bsi", poses[:, 0, :, :3], centers(poses).diff(dim=1))
    sideways, _, along = moved.unbind(-1)
    for main, other in ((sideways, along), (along, sideways)):
        ordered = (main.sign().sum(dim=-1).abs() == 3) & (main.sum(dim=-1).abs() > 2 * other.sum(dim=-1).abs())
        assert ordered.sum() > 60
        assert 0.35 < (main[ordered, 0] > 0).float().mean() < 0.65
