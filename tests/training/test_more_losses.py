"""The losses beyond the paper's: by hand, by projection, by finite differences, and what of them reaches an export."""

from __future__ import annotations

import math

import pytest
import torch

from vggt_blender.model import VGGT, encode_pose
from vggt_blender.training.groups import decayed_groups
from vggt_blender.training.learner import Draw, Learner
from vggt_blender.training.losses import log_depth_loss, matching_loss, normalize_scene, pair_loss
from vggt_blender.training.losses.matching import patch_targets
from vggt_blender.training.scenes import SceneConfig, SceneGenerator
from vggt_blender.training.sources import load_architecture

SPECIAL = 5
"""Tokens of a frame before its patches."""
BOTH = torch.tensor([1, 2])
"""The frames after the first."""


@pytest.fixture(scope="module")
def truth() -> dict[str, torch.Tensor]:
    generator = SceneGenerator(SceneConfig(supersample=1, shadows=False, terrain=0.0, images_per_chunk=4), seed=4)
    return normalize_scene(generator.batch(1, scenes=6, frames=3, height=42, width=56))


def turned(degrees: float, moves: list[list[float]]) -> torch.Tensor:
    """Poses (1, S, 3, 4): frame k turned by k times so many degrees about y, translations as given."""
    poses = []
    for index, move in enumerate(moves):
        angle = math.radians(degrees) * index
        rotation = [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
        poses.append(torch.cat([torch.tensor(rotation), torch.tensor(move)[:, None]], dim=1))
    return torch.stack(poses)[None]


def vectors(poses: torch.Tensor) -> torch.Tensor:
    lens = torch.tensor([[50.0, 0, 20], [0, 50, 20], [0, 0, 1]]).expand(*poses.shape[:2], 3, 3)
    return encode_pose(poses, lens, (40, 40))


def test_pairs_of_true_cameras_have_no_error(truth):
    losses = pair_loss([encode_pose(truth["extrinsics"], truth["intrinsics"], (42, 56))], truth["extrinsics"])
    assert all(float(value) < 1e-3 for value in losses.values())


def test_pair_loss_by_hand():
    known = turned(0.0, [[0, 0, 0], [-0.5, 0, 0], [-1.0, 0, 0]])
    given = turned(6.0, [[0, 0, 0], [0.5, 0, 0], [1.0, 0, 0]])
    losses = pair_loss([vectors(given)], known)
    # Two neighbouring pairs are 6 degrees off, the outer one 12; each counts in both orders.
    chords = [2 * math.sin(math.radians(angle) / 2) for angle in (6, 6, 12)]
    assert float(losses["pair_rotation"]) == pytest.approx(sum(chords) / 3, rel=1e-3)
    # The largest baseline is 1: of nine numbers two are off, by 1 and by 2.
    assert float(losses["baseline"]) == pytest.approx(3 / 9, rel=1e-4)
    opposite = pair_loss([vectors(turned(0.0, [[0, 0, 0], [0.5, 0, 0], [1.0, 0, 0]]))], known)
    assert float(opposite["pair_direction"]) == pytest.approx(2.0, rel=1e-4)
    longer = pair_loss([vectors(turned(0.0, [[0, 0, 0], [-5.0, 0, 0], [-10.0, 0, 0]]))], known)
    assert float(longer["pair_direction"]) < 1e-3, "a direction has no length"


def test_cameras_that_hardly_move_have_no_direction_to_learn():
    known = turned(3.0, [[0, 0, 0], [0.01, 0, 0]])
    given = vectors(turned(3.0, [[0, 0, 0], [0, -0.01, 0.01]])).requires_grad_()
    losses = pair_loss([given], known)
    assert losses["pair_direction"].item() == 0
    assert losses["baseline"].item() == pytest.approx(0.03 / 6 / 0.05, rel=1e-3)  # never divided by less than 0.05
    alone = pair_loss([given[:, :1]], known[:, :1])
    assert all(torch.isfinite(value) for value in alone.values())
    sum(losses.values()).backward()
    assert torch.isfinite(given.grad).all()


def test_log_depth_by_hand():
    target = torch.full((1, 1, 4, 4, 1), 2.0)
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[..., :2] = True
    prediction = torch.where(mask[..., None], 3.0, torch.nan)
    assert float(log_depth_loss(prediction, target, mask)) == pytest.approx(math.log(1.5))


def test_patches_are_found_where_the_same_surface_is(truth):
    """At the place in the first frame's point map lies the same point of the world."""
    place, visible, known = patch_targets(truth, 14, BOTH)
    assert 0.2 < visible.float().mean() < 1
    assert not (visible & ~known).any()
    pixels = (place * 14).floor().long()
    x, y = pixels[..., 0].clamp(0, 55), pixels[..., 1].clamp(0, 41)
    there = truth["world_points"][:, :1].flatten(2, 3).expand(-1, 2, -1, -1)
    there = there.gather(2, (y * 56 + x)[..., None].expand(-1, -1, -1, 3))
    own = truth["world_points"][:, 1:, 7::14, 7::14].flatten(2, 3)
    apart = (there - own).norm(dim=-1)[visible]
    assert apart.median() < 0.03
    assert apart.quantile(0.9) < 0.1


def scores_of(descriptors: torch.Tensor, sharpness: float = 20.0) -> torch.Tensor:
    """What patches (6, 3, 12, C) of the frames 1 and 2 give to all tokens of the scene, by their cosines."""
    unit = torch.nn.functional.normalize(descriptors, dim=-1)
    everything = torch.cat([torch.zeros(6, 3, SPECIAL, unit.shape[-1]), unit], dim=2).flatten(1, 2)
    scores = (unit[:, 1:].flatten(1, 2) @ everything.transpose(1, 2)).unflatten(1, (2, 12)) * sharpness
    own = torch.arange(3 * (SPECIAL + 12)) >= SPECIAL + 12
    return scores.masked_fill(own, -10.0)


def test_matching_rewards_attention_that_looks_at_the_right_place(truth):
    """Scores made of the true points of the world match; the same ones, mixed up, do not."""
    own = truth["world_points"][:, :, 7::14, 7::14].flatten(2, 3)
    waves = torch.randn(3, 64, generator=torch.Generator().manual_seed(0)) * 4
    knowing = torch.cat([(own @ waves).sin(), (own @ waves).cos()], dim=-1)
    mixed = knowing.clone()
    mixed[:, 0] = knowing[:, 0, torch.randperm(12, generator=torch.Generator().manual_seed(1))]
    nowhere = torch.zeros(6, 2, 12, 3)
    good, bad = (matching_loss(scores_of(tokens), nowhere, truth, 14, BOTH, SPECIAL) for tokens in (knowing, mixed))
    assert good["match_accuracy"] > 0.85
    assert good["matching"] < 0.7 * bad["matching"]
    assert good["match_accuracy"] > 1.4 * bad["match_accuracy"]
    # A search that ends at a camera token has found nothing.
    astray = scores_of(knowing)
    astray[..., :SPECIAL] = 100.0
    assert matching_loss(astray, nowhere, truth, 14, BOTH, SPECIAL)["match_accuracy"] == 0


def test_readings_lead_to_the_first_frame(truth):
    """By projection of the patches' own points with the cameras, two patches of error being two; twice in x is one."""
    points = truth["world_points"][:, 2, 7::14, 7::14].flatten(1, 2)
    pose, lens = truth["extrinsics"][:, 0], truth["intrinsics"][:, 0]
    local = points @ pose[:, :, :3].transpose(1, 2) + pose[:, None, :, 3]
    pixels = local @ lens.transpose(1, 2)
    y, x = torch.meshgrid(torch.arange(3) * 14 + 7.0, torch.arange(4) * 14 + 7.0, indexing="ij")
    moved = (pixels[..., :2] / pixels[..., 2:] - torch.stack([x, y], dim=-1).flatten(0, 1)) / 14
    readings = torch.cat([moved, torch.zeros_like(moved[..., :1])], dim=-1)[:, None]
    scores = torch.zeros(6, 1, 12, 3 * (SPECIAL + 12))
    exact, off = (
        matching_loss(scores, readings + shift, truth, 14, torch.tensor([2]), SPECIAL)
        for shift in (torch.zeros(3), torch.tensor([2.0, 0.0, 0.0]))
    )
    assert float(exact["displacement"]) < 1e-4
    assert float(off["displacement"]) == pytest.approx(1.0, abs=1e-4)
    assert float(exact["matching"]) == pytest.approx(math.log(3 * (SPECIAL + 12)), rel=1e-5)
    assert float(exact["seen"]) == pytest.approx(math.log(2), rel=1e-5)


def test_readings_tell_what_is_seen(truth):
    """Sure of the truth there is nothing left to lose; of its opposite, all; and the sky is not asked."""
    _, visible, known = patch_targets(truth, 14, BOTH)
    logit = torch.where(visible, 30.0, -30.0)
    scores = torch.zeros(6, 2, 12, 3 * (SPECIAL + 12))

    def seen(logits: torch.Tensor) -> float:
        readings = torch.cat([torch.zeros(6, 2, 12, 2), logits[..., None]], dim=-1)
        return float(matching_loss(scores, readings, truth, 14, BOTH, SPECIAL)["seen"])

    assert seen(logit) < 1e-6
    assert seen(-logit) == pytest.approx(30.0)
    assert not known.all()
    assert seen(torch.where(known, logit, -logit)) < 1e-6


def test_gradients_are_those_of_finite_differences(truth, assert_gradient):
    generator = torch.Generator().manual_seed(5)
    pose = encode_pose(truth["extrinsics"], truth["intrinsics"], (42, 56))
    pose = pose + 0.2 * torch.randn(pose.shape, generator=generator)
    scores = torch.randn(6, 1, 12, 3 * (SPECIAL + 12), generator=generator)
    readings = torch.randn(6, 1, 12, 3, generator=generator)
    second = torch.tensor([1])
    depth, target = (1 + torch.rand(1, 1, 9, 9, 1, generator=generator) for _ in range(2))
    mask = torch.ones(1, 1, 9, 9, dtype=torch.bool)
    cases = [
        (pose, lambda v: pair_loss([v, v * 0.9], truth["extrinsics"])["pair_rotation"]),
        (pose, lambda v: pair_loss([v], truth["extrinsics"])["pair_direction"]),
        (pose, lambda v: pair_loss([v], truth["extrinsics"])["baseline"]),
        (scores, lambda v: matching_loss(v, readings, truth, 14, second, SPECIAL)["matching"]),
        (readings, lambda v: matching_loss(scores, v, truth, 14, second, SPECIAL)["displacement"]),
        (readings, lambda v: matching_loss(scores, v, truth, 14, second, SPECIAL)["seen"]),
        (depth, lambda v: log_depth_loss(v, target, mask)),
    ]
    for values, loss in cases:
        assert_gradient(loss, values, generator, rel=0.05, least=3e-4)


def test_the_learner_gives_what_the_model_gives_and_dense_maps_of_the_drawn_frames():
    torch.manual_seed(0)
    model = VGGT(load_architecture("vggt-tiny"))
    names = list(model.state_dict())
    learner = Learner(model, matching=True)
    images = torch.rand(2, 3, 3, 28, 42)
    expected = model(images, heads=("camera", "depth"))
    given = learner(images, None, ("camera", "depth"), Draw(torch.tensor([0, 2]), BOTH))
    torch.testing.assert_close(given["depth"], expected["depth"][:, [0, 2]])
    torch.testing.assert_close(given["depth_conf"], expected["depth_conf"][:, [0, 2]])
    torch.testing.assert_close(given["pose_enc_list"][-1], expected["pose_enc"])
    tokens = 6 + model.config.aggregator.patch_start
    assert given["match_scores"].shape == (2, 2, 6, 3 * tokens)
    assert given["readings"].shape == (2, 2, 6, 3)
    assert list(model.state_dict()) == names, "what is exported stays the official network"
    assert "depth" in learner(images, None, ("depth",), Draw())
    decayed = {id(p) for p in decayed_groups(learner, 0.05)[0]["params"]}
    assert id(learner.readings.weight) in decayed
    (given["readings"].sum() + given["match_scores"].sum()).backward()
    blocks = model.aggregator.global_blocks
    assert blocks[1].mlp.fc1.weight.grad is not None
    assert blocks[2].mlp.fc1.weight.grad is None, "the tokens are those of the middle"


def test_match_scores_are_what_attention_goes_by():
    """Their softmax is the attention of the first head: put in its place, it gives the block's own output."""
    torch.manual_seed(0)
    model = VGGT(load_architecture("vggt-tiny"))
    learner = Learner(model, matching=True)
    attention = model.aggregator.global_blocks[1].attn
    seen = {}
    attention.proj.register_forward_pre_hook(lambda _, given: seen.update(mixed=given[0]))
    attention.register_forward_pre_hook(lambda _, given: seen.update(tokens=given[0]))
    given = learner(torch.rand(1, 2, 3, 28, 42), None, ("camera",), Draw(None, torch.tensor([1])))
    width = seen["tokens"].shape[-1]
    part = width // attention.heads
    values = attention.qkv(seen["tokens"])[..., 2 * width : 2 * width + part]
    expected = given["match_scores"][:, 0].softmax(dim=-1) @ values
    of_frame = seen["mixed"].unflatten(1, (2, -1))[:, 1, model.config.aggregator.patch_start :, :part]
    torch.testing.assert_close(of_frame, expected, rtol=1e-4, atol=1e-5)
