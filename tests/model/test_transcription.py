"""The network against its formulas written down plainly: shapes that the reference networks do not have.

Portrait and landscape grids that differ from the training grid, more frames than a chunk, several scenes. Everything
here is float64, with attention as a full matrix and rotation as complex numbers.
"""

import math

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from vggt_blender.model import VGGT, Chunks, VGGTConfig  # noqa: E402

HEADS, GRID, PATCH = 2, 4, 14
CONFIG = {
    "aggregator": {"embed_dim": 16, "depth": 3, "num_heads": HEADS, "img_size": GRID * PATCH},
    "vit": {"depth": 2, "num_heads": HEADS},
    "camera_head": {"trunk_depth": 2, "num_heads": HEADS},
    "dpt": {"features": 8, "out_channels": [8, 12, 16, 16], "layers": [0, 1, 1, 2]},
    "track_head": None,
}


class Formulas:
    """The network as its description says it, on the weights `w`."""

    def __init__(self, model):
        self.w = {name: value.double() for name, value in model.state_dict().items()}

    def linear(self, x, name):
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def norm(self, x, name, eps=1e-5):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

    def conv(self, x, name, **options):
        return F.conv2d(x, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"), **options)

    def block(self, x, name, eps=1e-5, positions=None):
        width = x.shape[-1]
        y = self.linear(self.norm(x, f"{name}.norm1", eps), f"{name}.attn.qkv")
        q, k, v = y.reshape(*x.shape[:-1], 3, HEADS, width // HEADS).movedim(-2, -4).unbind(-2)  # (..., heads, N, d)
        if positions is not None:
            q, k = (rotated(self.norm(z, f"{name}.attn.{which}_norm"), positions) for z, which in ((q, "q"), (k, "k")))
        scores = torch.softmax(q @ k.mT / math.sqrt(width // HEADS), dim=-1)
        y = (scores @ v).movedim(-3, -2).reshape(x.shape)
        x = x + self.w[f"{name}.ls1.gamma"] * self.linear(y, f"{name}.attn.proj")
        y = F.gelu(self.linear(self.norm(x, f"{name}.norm2", eps), f"{name}.mlp.fc1"))
        return x + self.w[f"{name}.ls2.gamma"] * self.linear(y, f"{name}.mlp.fc2")

    def encode(self, images):
        name, (rows, columns) = "aggregator.patch_embed", (side // PATCH for side in images.shape[-2:])
        x = self.conv(images, f"{name}.patch_embed.proj", stride=PATCH).flatten(2).mT
        table = self.w[f"{name}.pos_embed"]
        grid = table[:, 1:].mT.unflatten(-1, (GRID, GRID))
        grid = F.interpolate(grid, (rows, columns), mode="bicubic", antialias=True).flatten(2).mT
        first = (self.w[f"{name}.cls_token"] + table[:, :1]).expand(len(x), -1, -1)
        registers = self.w[f"{name}.register_tokens"].expand(len(x), -1, -1)
        x = torch.cat([first, registers, x + grid], 1)
        for index in range(CONFIG["vit"]["depth"]):
            x = self.block(x, f"{name}.blocks.{index}", 1e-6)
        return self.norm(x, f"{name}.norm", 1e-6)[:, 5:]

    def layers(self, images):
        """Every layer (B, S, P, 2C)."""
        mean, deviation = (
            torch.tensor(z).double().view(3, 1, 1) for z in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        scenes, frames = images.shape[:2]
        x = self.encode(((images.double() - mean) / deviation).flatten(0, 1)).unflatten(0, (scenes, frames))
        special = torch.cat([self.w["aggregator.camera_token"], self.w["aggregator.register_token"]], 2)
        special = torch.cat([special[:, :1], special[:, 1:].expand(-1, frames - 1, -1, -1)], 1)
        x = torch.cat([special.expand(scenes, -1, -1, -1), x], 2)
        rows, columns = (side // PATCH for side in images.shape[-2:])
        grid = [(0, 0)] * 5 + [(y + 1, x + 1) for y in range(rows) for x in range(columns)]
        positions, found = torch.tensor(grid).double(), []
        for index in range(CONFIG["aggregator"]["depth"]):
            x = within = self.block(x, f"aggregator.frame_blocks.{index}", positions=positions)
            x = self.block(x.flatten(1, 2), f"aggregator.global_blocks.{index}", positions=positions.repeat(frames, 1))
            x = x.view_as(within)
            found.append(torch.cat([within, x], -1))
        return found

    def poses(self, tokens):
        t = self.norm(tokens, "camera_head.token_norm")
        n = F.layer_norm(t, t.shape[-1:], eps=1e-6)
        fed = self.w["camera_head.empty_pose_tokens"].expand(*t.shape[:2], -1)
        estimate, emitted = torch.zeros(1).double(), []
        for _ in range(4):
            e = F.silu(self.linear(fed, "camera_head.embed_pose"))
            shift, scale, gate = self.linear(e, "camera_head.poseLN_modulation.1").chunk(3, -1)
            u = t + gate * (n * (1 + scale) + shift)
            for index in range(CONFIG["camera_head"]["trunk_depth"]):
                u = self.block(u, f"camera_head.trunk.{index}")
            u = self.norm(u, "camera_head.trunk_norm")
            fed = estimate = estimate + self.linear(
                F.gelu(self.linear(u, "camera_head.pose_branch.fc1")), "camera_head.pose_branch.fc2"
            )
            emitted.append(torch.cat([estimate[..., :7], estimate[..., 7:].relu()], -1))
        return emitted

    def maps(self, head, layers, size):
        """The last convolution's output (F, K, H, W)."""
        height, width = size
        rows, columns, aspect, maps = height // PATCH, width // PATCH, width / height, []
        for level, layer in enumerate(CONFIG["dpt"]["layers"]):
            x = self.norm(layers[layer][:, :, 5:].flatten(0, 1), f"{head}.norm").mT.unflatten(-1, (rows, columns))
            x = self.conv(x, f"{head}.projects.{level}")
            x = x + 0.1 * view_embedding(*x.shape[-3:], aspect)
            name = f"{head}.resize_layers.{level}"
            if level < 2:
                stride = (4, 2)[level]
                x = F.conv_transpose2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], stride=stride)
            elif level == 3:
                x = self.conv(x, name, stride=2, padding=1)
            maps.append(self.conv(x, f"{head}.scratch.layer{level + 1}_rn", padding=1))
        x = None
        for level in (3, 2, 1, 0):
            name = f"{head}.scratch.refinenet{level + 1}"
            x = maps[3] if x is None else x + self.residual(maps[level], f"{name}.resConfUnit1")
            x = self.residual(x, f"{name}.resConfUnit2")
            target = maps[level - 1].shape[-2:] if level else [2 * side for side in maps[0].shape[-2:]]
            x = self.conv(enlarged(x, target), f"{name}.out_conv")
        x = enlarged(self.conv(x, f"{head}.scratch.output_conv1", padding=1), size)
        x = x + 0.1 * view_embedding(*x.shape[-3:], aspect)
        x = self.conv(x, f"{head}.scratch.output_conv2.0", padding=1).relu()
        return self.conv(x, f"{head}.scratch.output_conv2.2")

    def residual(self, x, name):
        x = x.relu()
        return x + self.conv(self.conv(x, f"{name}.conv1", padding=1).relu(), f"{name}.conv2", padding=1)


def rotated(x, positions):
    """(..., N, d): in each half of the channels, pairs (k, k + d / 4) as complex numbers turn by the position."""
    d = x.shape[-1] // 2
    frequencies = 100.0 ** (-2 * torch.arange(d // 2).double() / d)
    halves = []
    for half, position in zip(x.chunk(2, -1), positions.unbind(-1), strict=True):
        turn = torch.polar(torch.ones(1).double(), position[:, None] * frequencies)
        z = torch.complex(*half.contiguous().chunk(2, -1)) * turn
        halves += [z.real, z.imag]
    return torch.cat(halves, -1)


def view_embedding(channels, rows, columns, aspect):
    """(C, rows, columns)"""
    quarter, diagonal = channels // 4, math.hypot(aspect, 1)
    frequencies = torch.tensor([100 ** (-k / quarter) for k in range(quarter)]).double()
    found = torch.zeros(channels, rows, columns).double()
    for axis, (count, span) in enumerate(((columns, aspect / diagonal), (rows, 1 / diagonal))):
        place = span * (2 * torch.arange(count).double() - (count - 1)) / count
        angles = frequencies[:, None] * place
        waves = torch.cat([angles.sin(), angles.cos()])
        found[2 * quarter * axis : 2 * quarter * (axis + 1)] = waves[:, None] if axis == 0 else waves[:, :, None]
    return found


def enlarged(x, size):
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=True)


@pytest.fixture(scope="module")
def model(weight_by_name):
    model = VGGT(VGGTConfig.from_dict(CONFIG)).eval()
    model.load_state_dict({name: weight_by_name(name, tuple(v.shape)) for name, v in model.state_dict().items()})
    return model


@torch.inference_mode()
@pytest.mark.parametrize(
    ("scenes", "frames", "rows", "columns"),
    [(1, 2, 7, 3), (1, 9, 2, 5), (2, 3, 5, 4), (1, 1, 4, 4), (1, 2, 1, 6)],
    ids=["portrait", "nine frames", "two scenes", "one frame on the training grid", "one row of patches"],
)
def test_network_is_what_its_formulas_say(model, close, scenes, frames, rows, columns):
    size = (rows * PATCH, columns * PATCH)
    images = torch.rand(scenes, frames, 3, *size, generator=torch.Generator().manual_seed(rows))
    ours, formulas = model(images, chunks=Chunks(frames=2, maps=2)), Formulas(model)
    layers = formulas.layers(images)
    for mine, truth in zip(ours["pose_enc_list"], formulas.poses(layers[-1][:, :, 0]), strict=True):
        close(mine, truth.float(), 1e-4 * truth.abs().max())
    depth = formulas.maps("depth_head", layers, size).unflatten(0, (scenes, frames))
    points = formulas.maps("point_head", layers, size).unflatten(0, (scenes, frames)).movedim(2, -1)
    for name, truth in (
        ("depth", depth[:, :, 0].exp()[..., None]),
        ("depth_conf", 1 + depth[:, :, 1].exp()),
        ("world_points", points[..., :3].sign() * points[..., :3].abs().expm1()),
        ("world_points_conf", 1 + points[..., 3].exp()),
    ):
        assert ours[name].shape == truth.shape
        close(ours[name], truth.float(), 1e-4 * truth.abs().max())


@torch.inference_mode()
def test_type_and_layout_of_the_pictures_do_not_matter(model, close):
    whole = torch.randint(0, 256, (2, 3, 42, 56), dtype=torch.uint8)
    images = (whole.float() / 255).half()
    turned = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    same_as(model, images.float(), (images, images.double(), turned.float()), close)
    same_as(model, whole.float() / 255, (whole,), close)


def same_as(model, images, others, close):
    exact = model(images)
    for same in others:
        found = model(same)
        for name in ("pose_enc", "depth", "world_points"):
            close(found[name], exact[name], 1e-5 * exact[name].abs().max())
