"""Things that move in generated scenes: their depth is that of their frame, and their tracks go with them."""

from __future__ import annotations

import torch

from vggt_blender.training.scenes import SceneConfig, SceneGenerator
from vggt_blender.training.scenes.layout import OBJECTS, random_layout
from vggt_blender.training.scenes.movers import carried, moved, owners, random_moves
from vggt_blender.training.scenes.tracing import nearest_distance
from vggt_blender.training.scenes.views import project

MOVING = SceneConfig(supersample=1, shadows=False, tracks=300, movers=1.0, terrain=0.0)


def test_a_share_of_scenes_has_things_that_go_straight_over_the_ground():
    moves = random_moves(torch.Generator().manual_seed(1), 400, 5, 0.3)
    assert moves.shape == (400, 5, OBJECTS, 3)
    assert (moves[..., 2] == 0).all()
    busy = moves.abs().amax(dim=(1, 2, 3)) > 0
    assert 0.2 < busy.float().mean() < 0.4
    torch.testing.assert_close(moves[:, 0] + moves[:, 2], 2 * moves[:, 1])
    whole = (moves[:, -1] - moves[:, 0]).norm(dim=-1)
    assert (whole[whole > 0] > 0.099).all()
    assert whole.max() < 1.001


def test_points_of_an_object_are_carried_with_it():
    """Seen from a place that has gone the same way, a carried point is where it was."""
    generator = torch.Generator().manual_seed(3)
    layout = random_layout(generator, 8, outdoor=1.0, terrain=False, pictures=0)
    moves = layout["reach"][:, None, None] * random_moves(generator, 8, 2, 1.0)[:, 1]
    origin = torch.tensor([0.0, 0.0, 1.5]) * layout["reach"][:, None]
    direction = torch.randn(8, 3, 400, generator=generator) - torch.tensor([0.0, 0.0, 1.0])[:, None]
    t = nearest_distance(layout, origin, direction)
    owner = owners(layout, origin, direction, terrain=False)
    assert (owner >= 0).float().mean() > 0.1
    way = carried(moves, owner)
    assert (way[owner < 0] == 0).all()
    assert (way.norm(dim=-1) > 0).sum() > 20
    for scene, ray in (way.norm(dim=-1) > 0).nonzero():
        along = origin[scene] + way[scene, ray]
        only = {name: value[scene, None] for name, value in layout.items()}
        together = way[scene, ray].expand(1, OBJECTS, 3)  # what hides it goes along
        again = nearest_distance(moved(only, together), along[None], direction[scene, None, :, ray, None])
        torch.testing.assert_close(again[0, 0], t[scene, ray], rtol=1e-3, atol=1e-3)


def test_tracks_go_with_what_they_are_on():
    """What moves keeps its height: the other frame's surface at a visible track is as high as the track's start."""
    batch = SceneGenerator(MOVING, seed=6).batch(0, 10, 3, 56, 84)
    scenes = torch.arange(10)[:, None]
    start = batch["tracks"][:, 0].floor().long()
    own = batch["world_points"][:, 0][scenes, start[..., 1], start[..., 0]]
    still, _ = project(own, batch["extrinsics"], batch["intrinsics"])
    went = (batch["tracks"] - still).norm(dim=-1) > 2
    for frame in (1, 2):
        place = batch["tracks"][:, frame].floor().long()
        x, y = place[..., 0].clamp(0, 83), place[..., 1].clamp(0, 55)
        there = batch["world_points"][:, frame][scenes, y, x]
        depth = batch["depths"][:, frame][scenes, y, x]
        seen = batch["track_visible"][:, frame] & went[:, frame]
        assert seen.sum() > 20
        same = (there[..., 2] - own[..., 2]).abs() < 0.06 * depth
        assert same[seen].float().mean() > 0.85


def test_every_frame_has_its_own_depth():
    still = SceneGenerator(SceneConfig(supersample=1, shadows=False, terrain=0.0), seed=6)
    moving = SceneGenerator(SceneConfig(supersample=1, shadows=False, terrain=0.0, movers=1.0), seed=6)
    a, b = (generator.batch(0, 6, 3, 28, 42) for generator in (still, moving))
    torch.testing.assert_close(a["extrinsics"], b["extrinsics"])
    changed = (a["depths"] - b["depths"]).abs() > 1e-3
    assert 0.002 < changed[:, 0].float().mean() < 0.5
    assert not changed[:, 1].any()  # half-way, where everything is at its place
