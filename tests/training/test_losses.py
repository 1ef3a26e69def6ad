"""The losses by the reference values, by hand-computed cases, and their gradients by finite differences."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vggt_blender.model import encode_pose
from vggt_blender.training.losses import camera_loss, dense_loss, normalize_scene, track_loss
from vggt_blender.training.losses.dense import below_quantile

REFERENCE = Path(__file__).parents[1] / "data" / "vggt" / "losses.npz"


@pytest.fixture(scope="module")
def reference() -> dict[str, torch.Tensor]:
    with np.load(REFERENCE) as archive:
        return {name: torch.from_numpy(np.asarray(archive[name])) for name in archive.files}


def test_normalization_is_the_reference(reference):
    scene = {
        "extrinsics": reference["extrinsics"],
        "depths": reference["gt_depth"],
        "cam_points": reference["cam_points"],
        "world_points": reference["gt_points"],
        "point_masks": reference["mask"],
    }
    result = normalize_scene(scene)
    for name, wanted in (
        ("extrinsics", "extrinsics"), ("depths", "depth"), ("cam_points", "cam_points"), ("world_points", "points"),
    ):  # fmt: skip
        torch.testing.assert_close(result[name], reference[f"norm_{wanted}"], atol=1e-6, rtol=1e-6)


def test_normalized_scenes_do_not_depend_on_place_turn_and_unit():
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(1, 2, 8, 9, 3, generator=generator) + torch.tensor([0.0, 0.0, 2.0])
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator))
    turn = turn * torch.linalg.det(turn)
    poses = torch.eye(3, 4).repeat(1, 2, 1, 1)
    poses[0, 1, :, 3] = torch.tensor([0.3, -0.1, 0.2])

    def scene(scale, rotation, shift):
        moved = scale * points @ rotation.T + shift
        rotated = poses[..., :3] @ rotation.T
        translation = scale * poses[..., 3:] - rotated @ shift[:, None]
        ones = torch.ones(1, 2, 8, 9)
        return normalize_scene(
            {
                "extrinsics": torch.cat([rotated, translation], -1),
                "depths": scale * points[..., 2],
                "cam_points": scale * points,
                "world_points": moved,
                "point_masks": ones.bool(),
            }
        )

    a = scene(1.0, torch.eye(3), torch.zeros(3))
    b = scene(7.5, turn, torch.tensor([40.0, -3.0, 11.0]))
    for name in ("extrinsics", "depths", "cam_points", "world_points"):
        torch.testing.assert_close(a[name], b[name], atol=2e-5, rtol=2e-5)
    assert a["world_points"].norm(dim=-1).mean() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_camera_loss_is_the_reference(reference, kind):
    target = encode_pose(reference["extrinsics"], reference["intrinsics"], (24, 32))
    loss = camera_loss(list(reference["pose_list"]), target, reference["mask"], kind=kind)
    for name, wanted in (("camera", "camera"), ("translation", "T"), ("rotation", "R"), ("lens", "FL")):
        assert float(loss[name]) == pytest.approx(float(reference[f"camera_{kind}_loss_{wanted}"]), abs=1e-6)


@pytest.mark.parametrize("valid_range", ["-1", "0.98"])
@pytest.mark.parametrize("neighbors", ["grad", "grad_conf", "normal", "normal_conf"])
def test_dense_loss_is_the_reference(reference, neighbors, valid_range):
    kind = "depth" if neighbors.startswith("grad") else "point"
    predicted, target = (
        (reference["pred_depth"], reference["gt_depth"][..., None])
        if kind == "depth"
        else (reference["pred_points"], reference["gt_points"])
    )
    loss = dense_loss(
        predicted,
        reference["pred_depth_conf" if kind == "depth" else "pred_points_conf"],
        target,
        reference["mask"],
        neighbors=neighbors,
        valid_range=float(valid_range),
    )
    for name, wanted in (("confidence", "conf"), ("regression", "reg"), ("neighbors", "grad")):
        value = float(reference[f"{kind}_{neighbors}_{valid_range}_loss_{wanted}_{kind}"])
        assert float(loss[name]) == pytest.approx(value, abs=1e-6)


def test_quantile_filter_is_the_reference(reference):
    kept = below_quantile(reference["quantile_in"], 0.98)
    torch.testing.assert_close(kept, reference["quantile_out"])
    assert kept.max() < reference["quantile_thresh"]


def test_few_values_are_never_thinned():
    values = torch.linspace(0, 500, 900)
    assert below_quantile(values, 0.5) is values


def test_camera_loss_by_hand():
    target = torch.zeros(1, 1, 9)
    first, last = target.clone(), target.clone()
    first[..., 0], last[..., 7] = 3.0, 0.4
    loss = camera_loss([first, last], target, torch.ones(1, 1, 20, 20))
    assert float(loss["translation"]) == pytest.approx(0.6 * 1.0 / 2)
    assert float(loss["lens"]) == pytest.approx(0.2 / 2)
    assert float(loss["camera"]) == pytest.approx(0.3 + 0.5 * 0.1)


def test_camera_loss_without_a_usable_scene_is_a_zero_in_the_graph():
    prediction = torch.ones(2, 2, 9, requires_grad=True)
    masks = torch.ones(2, 2, 20, 20)
    masks[:, 0, 5:] = 0  # exactly 100 pixels in the first frames: one too few
    loss = camera_loss([prediction], torch.zeros(2, 2, 9), masks)["camera"]
    assert loss.item() == 0.0
    loss.backward()
    assert torch.count_nonzero(prediction.grad) == 0


def test_camera_loss_survives_what_is_not_finite():
    prediction = torch.zeros(1, 1, 9)
    prediction[..., 0], prediction[..., 1], prediction[..., 2] = math.nan, math.inf, 1e9
    loss = camera_loss([prediction], torch.zeros(1, 1, 9), torch.ones(1, 1, 20, 20))
    assert float(loss["translation"]) == pytest.approx(100 / 3, rel=1e-6)


def test_dense_loss_by_hand():
    target = torch.full((1, 1, 20, 20, 1), 2.0)
    confidence = torch.full((1, 1, 20, 20), 3.0)
    mask = torch.ones(1, 1, 20, 20, dtype=torch.bool)
    off = dense_loss(target + 0.5, confidence, target, mask, valid_range=-1)
    assert float(off["regression"]) == pytest.approx(0.5)
    assert float(off["confidence"]) == pytest.approx(0.5 * 3 - 0.2 * math.log(3), rel=1e-5)
    assert float(off["neighbors"]) == pytest.approx(0.0, abs=1e-6)
    ramp = target + 0.1 * torch.arange(20.0).view(1, 1, 1, 20, 1)
    sloped = dense_loss(ramp, confidence, target, mask, valid_range=-1)
    # Steps 1, 2, 4, 8 leave 20, 10, 5, 3 columns: (n - 1) / n jumps of 0.1 x step for each pixel.
    wanted = sum(0.1 * step * (n - 1) / n for step, n in ((1, 20), (2, 10), (4, 5), (8, 3))) / 4
    assert float(sloped["neighbors"]) == pytest.approx(wanted, rel=1e-5)


def test_normal_term_is_one_minus_the_cosine_of_the_tilt():
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    flat = torch.stack([x, y, torch.full_like(x, 5.0)], -1).expand(1, 1, -1, -1, -1)
    tilted = torch.stack([x, y, 5.0 + x], -1).expand(1, 1, -1, -1, -1)
    ones = torch.ones(1, 1, 16, 16)
    loss = dense_loss(tilted, ones, flat, ones.bool(), neighbors="normal", valid_range=-1)
    assert float(loss["neighbors"]) == pytest.approx(1 - math.cos(math.pi / 4), abs=1e-5)


def test_pixels_outside_the_mask_teach_nothing():
    generator = torch.Generator().manual_seed(1)
    prediction = torch.rand(1, 2, 20, 20, 1, generator=generator, requires_grad=True)
    mask = torch.rand(1, 2, 20, 20, generator=generator) > 0.4
    loss = dense_loss(prediction, torch.full((1, 2, 20, 20), 1.5), torch.rand(1, 2, 20, 20, 1), mask)
    sum(loss.values()).backward()
    assert torch.count_nonzero(prediction.grad[~mask]) == 0
    assert torch.count_nonzero(prediction.grad[mask]) > 0


def test_hardly_any_valid_pixel_makes_the_loss_zero():
    mask = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    mask[0, 0, :4] = True
    loss = dense_loss(torch.ones(1, 1, 20, 20, 1), torch.ones(1, 1, 20, 20), torch.zeros(1, 1, 20, 20, 1), mask)
    assert float(loss["regression"]) == float(loss["confidence"]) == 0.0


def test_gradients_are_those_of_finite_differences(assert_gradient):
    generator = torch.Generator().manual_seed(5)

    def noise(*shape):
        return torch.rand(*shape, generator=generator)

    depth, conf, target = noise(1, 1, 11, 11, 1) + 1, noise(1, 1, 11, 11) + 1.1, noise(1, 1, 11, 11, 1) + 1
    points, point_target = noise(1, 1, 11, 11, 3), noise(1, 1, 11, 11, 3)
    mask = noise(1, 1, 11, 11) > 0.05
    pose, pose_target = noise(1, 3, 9), noise(1, 3, 9)
    tracks, seen, logits = noise(1, 3, 5, 2) * 20, torch.ones(1, 3, 5, dtype=torch.bool), noise(1, 3, 5) - 0.5

    cases = [
        (depth, lambda v: sum(dense_loss(v, conf, target, mask, valid_range=-1).values())),
        (conf, lambda v: sum(dense_loss(depth, v, target, mask, neighbors="grad_conf", valid_range=-1).values())),
        (points, lambda v: sum(dense_loss(v, conf, point_target, mask, neighbors="normal", valid_range=-1).values())),
        (pose, lambda v: camera_loss([v, v * 0.5], pose_target, torch.ones(1, 3, 20, 20))["camera"]),
        (pose, lambda v: camera_loss([v], pose_target, torch.ones(1, 3, 20, 20), kind="l2")["camera"]),
        (tracks, lambda v: track_loss([v], logits, logits, tracks + 1, seen)["track"]),
        (logits, lambda v: track_loss([tracks], v, logits, tracks + 1, seen)["visibility"]),
        (logits, lambda v: track_loss([tracks], logits, v, tracks + 1, seen)["confidence"]),
    ]
    for values, loss in cases:
        assert_gradient(loss, values, generator, rel=0.03, least=2e-4)


def test_track_loss_by_hand():
    target = torch.zeros(1, 2, 3, 2)
    prediction = target.clone()
    prediction[0, 1, 0] = torch.tensor([4.0, 2.0])
    visible = torch.tensor([[[True, True, False], [True, False, True]]])
    zeros = torch.zeros(1, 2, 3)
    loss = track_loss([prediction, prediction], zeros, zeros, target, visible)
    # Three entries count (track 2 starts hidden), one of them is 3 px off on average; weights 0.8 and 1 over two.
    assert float(loss["track"]) == pytest.approx(3.0 / 3 * (0.8 + 1.0) / 2)
    assert float(loss["visibility"]) == pytest.approx(math.log(2), rel=1e-5)
    hopeful = torch.full((1, 2, 3), 4.0)
    sure = track_loss([prediction], zeros, hopeful, target, visible)
    good, bad = math.log1p(math.exp(-4)), math.log1p(math.exp(4))
    assert float(sure["confidence"]) == pytest.approx((3 * good + bad) / 4, rel=1e-5)


def test_a_wrong_name_is_refused():
    ones = torch.ones(1, 1, 20, 20)
    with pytest.raises(ValueError, match="'grad' or 'normal'"):
        dense_loss(ones[..., None], ones, ones[..., None], ones, neighbors="laplace")
    with pytest.raises(ValueError, match="'l1' or 'l2'"):
        camera_loss([torch.zeros(1, 1, 9)], torch.zeros(1, 1, 9), ones, kind="huber")
