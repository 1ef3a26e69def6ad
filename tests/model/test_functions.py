"""Single functions against the official ones, and against what they must do by definition."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from vggt_blender.model import VGGTConfig, decode_pose, encode_pose, tables  # noqa: E402
from vggt_blender.model.attention import attend, attend_by_rows, attend_in_blocks, rotate  # noqa: E402
from vggt_blender.model.camera_head import activate_pose  # noqa: E402
from vggt_blender.model.config import EncoderConfig  # noqa: E402
from vggt_blender.model.correlation import correlate, pyramid  # noqa: E402
from vggt_blender.model.dpt_head import Fusion, ResidualUnit, embed_position, signed_expm1  # noqa: E402
from vggt_blender.model.linear import Linear  # noqa: E402
from vggt_blender.model.patch_encoder import PatchEncoder, PatchStem  # noqa: E402
from vggt_blender.model.pose import (  # noqa: E402
    invert_rigid,
    matrix_to_quaternion,
    quaternion_to_matrix,
    unproject,
)
from vggt_blender.model.track_head import embed_motion, position  # noqa: E402

CPU = torch.device("cpu")


def test_rotary_embedding(functional, close):
    x, positions = functional["rope_in"], functional["rope_pos"]
    for scene in range(len(x)):
        rotation = tables.rotation_at(positions[scene], x.shape[-1], 100.0)
        close(rotate(x[scene, None].transpose(1, 2), rotation).transpose(1, 2)[0], functional["rope_out"][scene])


def test_rotation_leaves_special_tokens_alone_and_depends_on_differences(close):
    rotation = tables.rotation(3, 4, 5, 16, 100.0, CPU)
    x = torch.randn(1, 17, 2, 16)
    turned = rotate(x, rotation)
    assert torch.equal(turned[:, :5], x[:, :5])
    same = rotate(x[:, :1].expand_as(x), rotation)[0, 5:, 0].unflatten(0, (3, 4))
    right = (same[:, 1:] * same[:, :-1]).sum(-1)  # neighbours in a row: one product everywhere
    down = (same[1:] * same[:-1]).sum(-1)
    close(right, right[:1, :1].expand_as(right))
    close(down, down[:1, :1].expand_as(down))
    assert not torch.allclose(right[0, 0], down[0, 0])


@pytest.mark.parametrize("grid", [(37, 28), (28, 37), (5, 7), (41, 50), (37, 37)])
def test_positional_embedding(functional, weight_by_name, close, grid):
    encoder = PatchEncoder(EncoderConfig(embed_dim=8, depth=0), 14)
    encoder.pos_embed.data = weight_by_name("functional.pos_embed", (1, 1370, 8))
    close(encoder.position(*grid)[0], functional[f"pos_interp_{grid[0]}x{grid[1]}"])


@pytest.mark.parametrize(("rows", "columns", "channels", "aspect"), [(5, 7, 16, 98 / 70), (6, 4, 24, 56 / 84)])
def test_image_coordinate_embedding(functional, close, rows, columns, channels, aspect):
    ours = embed_position(torch.zeros(1, channels, rows, columns), aspect)
    close(ours[0].permute(1, 2, 0), functional[f"uv_embed_{rows}x{columns}x{channels}"])


def test_activations(functional, close):
    raw = functional["act_in"].permute(0, 2, 3, 1)
    close(raw[..., :3].exp(), functional["act_exp"])
    close(signed_expm1(raw[..., :3]), functional["act_inv_log"])
    close(1 + raw[..., 3].exp(), functional["conf_expp1"])
    close(activate_pose(functional["poseact_in"]), functional["poseact_out"])


def _named(module: nn.Module, prefix: str, weight_by_name) -> nn.Module:
    weights = {key: weight_by_name(f"{prefix}.{key}", tuple(value.shape)) for key, value in module.state_dict().items()}
    module.load_state_dict(weights)
    return module.eval()


@torch.inference_mode()
def test_residual_unit_skips_the_rectified_input(functional, weight_by_name, close):
    unit = _named(ResidualUnit(6), "functional.rcu", weight_by_name)
    close(unit(functional["rcu_in"]), functional["rcu_out"])


@torch.inference_mode()
@pytest.mark.parametrize(("name", "single"), [("fuse2", False), ("fuse1", True)])
def test_fusion(functional, weight_by_name, close, name, single):
    fusion = _named(Fusion(6, single=single), f"functional.{name}", weight_by_name)
    x, level = functional[f"{name}_in0"], None if single else functional[f"{name}_in1"]
    close(fusion(x, level, (5, 7)), functional[f"{name}_out_5x7"])
    close(fusion(x, level, (6, 8)), functional[f"{name}_out_x2"])


def test_motion_embedding(functional, close):
    close(embed_motion(functional["flow_in"], 16), functional["flow_embed_c16"])


def test_sampled_position_table(functional, close):
    table = functional["sincos_20_9x13"][0]
    v, u = torch.meshgrid(torch.arange(9.0), torch.arange(13.0), indexing="ij")
    whole = position(torch.stack([u, v], dim=-1).flatten(0, 1)[None], (9, 13), 20)
    close(whole[0].T.unflatten(1, (9, 13)), table)
    close(position(functional["sincos_query"], (9, 13), 20), functional["sincos_sampled"])


def test_correlation(functional, close):
    maps = functional["corr_fmaps"].flatten(0, 1).permute(0, 2, 3, 1).contiguous()
    ours = correlate(
        pyramid(maps, 4), functional["corr_targets"].flatten(0, 1), functional["corr_coords"].flatten(0, 1), 2
    )
    close(ours.unflatten(0, functional["corr_coords"].shape[:2]), functional["corr_out_l4_r2"])


def test_correlation_gathers_in_parts_without_changing_numbers(monkeypatch, close):
    maps, features, points = torch.randn(2, 9, 13, 8), torch.randn(2, 50, 8), 12 * torch.rand(2, 50, 2)
    whole = correlate(pyramid(maps, 2), features, points, 3)
    monkeypatch.setattr("vggt_blender.model.correlation.GATHERED", 3 * 64 * 8)
    close(correlate(pyramid(maps, 2), features, points, 3), whole, 1e-6)


def test_quaternions(functional, close):
    close(quaternion_to_matrix(functional["quat_in"]), functional["quat_mat"])
    close(matrix_to_quaternion(functional["quat_mat"]), functional["mat_quat"])
    close(matrix_to_quaternion(functional["mat_special"]), functional["mat_special_quat"])


def test_pose_vectors(functional, close):
    size = (392, 518)
    close(encode_pose(functional["pose_E"], functional["pose_K"], size), functional["pose_enc_392x518"])
    extrinsics, intrinsics = decode_pose(functional["pose_enc_392x518"], size)
    close(extrinsics, functional["pose_E_back"])
    close(intrinsics, functional["pose_K_back"])
    close(invert_rigid(functional["pose_E"].flatten(0, 1)), functional["se3_inv"])


def test_a_field_of_view_of_zero_stays_finite():
    pose = torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 0, 0])
    _, intrinsics = decode_pose(pose, (392, 518))
    assert torch.isfinite(intrinsics).all()


def test_unprojection(functional, close):
    ours = unproject(functional["unproj_depth"][..., 0], functional["pose_E"][0], functional["unproj_K"])
    close(ours, functional["unproj_out"])


def test_attention_in_blocks_is_attention(monkeypatch, close):
    monkeypatch.setattr("vggt_blender.model.attention.ROWS", 7)
    q, k, v = torch.randn(2, 3, 20, 8), torch.randn(2, 3, 33, 8), torch.randn(2, 3, 33, 8)
    by_definition = torch.softmax(q @ k.transpose(-1, -2) / np.sqrt(8), dim=-1) @ v
    close(attend_in_blocks(q, k, v), by_definition)
    for largest in (1, 7 * 4 * 2 * 3 * 33, 1 << 30):  # one query, seven, and all at a time
        close(attend_by_rows(q, k, v, largest), by_definition)
    close(attend(q, k, v), by_definition)


def test_bfloat16_attention_in_blocks_is_as_exact_as_the_fused_kernel():
    q, k, v = (torch.randn(1, 4, 300, 64) for _ in range(3))
    exact = F.scaled_dot_product_attention(q, k, v)
    half = [each.bfloat16() for each in (q, k, v)]
    fused = (F.scaled_dot_product_attention(*half) - exact).norm()
    with torch.inference_mode():
        blocks = (attend_in_blocks(*half) - exact).norm()
    assert blocks < 2 * fused


def test_a_stem_looks_over_the_edges_of_its_patches():
    """A pixel changes the patches within four pixels of it; without the stem's norms, no others."""
    torch.manual_seed(0)
    stem = PatchStem(8, 7, 16)
    stem.norm1, stem.norm2 = nn.Identity(), nn.Identity()
    images = torch.rand(1, 3, 21, 28)
    changed = images.clone()
    changed[:, :, 9, 8] += 1  # in the second patch of the second row: near the first row and column, far from the third
    tokens, others = stem(images), stem(changed)
    assert tokens.shape == (1, 12, 16)
    moved = (tokens - others).abs().amax(dim=-1).view(3, 4) > 1e-6
    assert moved.tolist() == [[True, True, False, False], [True, True, False, False], [False] * 4]
    assert PatchStem(8, 14, 16)(torch.rand(2, 3, 28, 42)).shape == (2, 6, 16), "an even size goes by halves"


def test_a_stem_survives_the_description_of_its_network():
    config = VGGTConfig.from_dict({"vit": {"stem": 8}})
    assert VGGTConfig.from_dict(config.to_dict()) == config
    assert EncoderConfig().stem == 0, "the released network has none"


class TestConfig:
    def test_nothing_given_is_vggt_1b(self):
        assert VGGTConfig.from_dict({}) == VGGTConfig()

    def test_null_heads_are_off(self):
        config = VGGTConfig.from_dict({"camera_head": None, "dpt": None, "track_head": None})
        assert (config.camera, config.depth, config.point, config.track) == (None, None, None, None)
        assert VGGTConfig.from_dict({"point_head": None}).depth == VGGTConfig().depth
        assert VGGTConfig.from_dict({"point_head": None}).point is None

    @pytest.mark.parametrize(
        ("description", "says"),
        [
            ({"aggregator": {"widht": 3}}, "unknown size widht"),
            (
                {"aggregator": {"embed_dim": 96, "num_heads": 3}, "vit": {"embed_dim": 64}},
                "embed_dim 64 and aggregator",
            ),
            ({"aggregator": {"depth": 4}}, "reads layers"),
            ({"aggregator": {"rope_freq": -1}}, "rope_freq"),
            ({"vit": {"stem": 6}}, "vit.stem 6"),
            ({"aggregator": {"aa_block_size": 5}}, "aa_block_size"),
        ],
    )
    def test_sizes_that_cannot_work_are_refused(self, description, says):
        with pytest.raises(ValueError, match=says):
            VGGTConfig.from_dict(description)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_layers_are_the_same_with_and_without_gradients(close, dtype):
    """Without gradients another library makes the products, GELU included."""
    layer = Linear(24, 40).to(dtype)
    x = torch.randn(2, 7, 24)
    slack = 1e-5 if dtype == torch.float32 else 0.02
    with torch.no_grad():
        silent = layer(x), layer.gelu(x), layer.rows(x[:, :1], 8, 16)
    heard = layer(x), layer.gelu(x), layer.rows(x[:, :1], 8, 16)
    for ours, theirs in zip(silent, heard, strict=True):
        assert ours.dtype == dtype
        close(ours, theirs.detach(), slack)
    exact = F.gelu(F.linear(x, layer.weight.float(), layer.bias.float()))
    close(silent[1], exact.detach(), slack)
