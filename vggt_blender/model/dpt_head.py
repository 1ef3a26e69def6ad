"""Dense prediction (Ranftl et al. 2021): four levels of tokens, fused from coarse to fine into maps of the image."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from . import tables
from .config import DPTConfig

Activation = Callable[[Tensor], Tensor]


class DPT(nn.Module):
    """Tokens of four layers to one map of features: what the dense heads and the tracker's extractor share."""

    def __init__(self, config: DPTConfig, width: int, out: int, *, embed_position: bool) -> None:
        super().__init__()
        self.layers = config.layers
        self.embed_position = embed_position
        channels = config.out_channels
        self.norm = nn.LayerNorm(width)
        self.projects = nn.ModuleList(nn.Conv2d(width, each, 1) for each in channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(channels, config.features, out)

    def project(self, level: int, tokens: Tensor, aspect: float) -> Tensor:
        """One layer's patch tokens (f, h, w, 2C) to its level (f, h, w, c); `aspect` is the image's W / H.

        Token by token, so it is done as each layer ends, and only the fewer channels of the level are kept.
        """
        x = self.projects[level](self.norm(tokens).permute(0, 3, 1, 2))
        if self.embed_position:
            x = embed_position(x, aspect)
        return x.permute(0, 2, 3, 1)

    def fuse(self, levels: list[Tensor]) -> Tensor:
        """Levels (f, h, w, c) to features (f, out, 8h, 8w)."""
        maps = []
        for level, x in enumerate(levels):
            resized = self.resize_layers[level](x.permute(0, 3, 1, 2))
            maps.append(self.scratch.reduction(level)(resized))
        return self.scratch(maps)


class Scratch(nn.Module):
    """The fusion: each level reduced to common channels, then merged from the coarsest up."""

    output_conv2: nn.Sequential  # of the dense heads alone

    def __init__(self, channels: tuple[int, ...], features: int, out: int) -> None:
        super().__init__()
        self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn = (
            nn.Conv2d(each, features, 3, padding=1, bias=False) for each in channels
        )
        self.refinenet1 = Fusion(features)
        self.refinenet2 = Fusion(features)
        self.refinenet3 = Fusion(features)
        self.refinenet4 = Fusion(features, single=True)
        self.output_conv1 = nn.Conv2d(features, out, 3, padding=1)

    def reduction(self, level: int) -> nn.Module:
        """The convolution that brings a level to the common number of channels."""
        return (self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn)[level]

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Reduced levels, finest first, to the features at twice the finest size."""
        one, two, three, four = maps
        x = self.refinenet4(four, None, size_of(three))
        x = self.refinenet3(x, three, size_of(two))
        x = self.refinenet2(x, two, size_of(one))
        rows, columns = size_of(one)
        x = self.refinenet1(x, one, (2 * rows, 2 * columns))
        return self.output_conv1(x)


class ResidualUnit(nn.Module):
    """Two convolutions around a skip that carries relu(x): the original's ReLU at the entry worked in place."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.conv2(F.relu(self.conv1(x))) + x


class Fusion(nn.Module):
    """The coarser map, the finer level added, refined and enlarged."""

    def __init__(self, features: int, single: bool = False) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        self.resConfUnit1 = None if single else ResidualUnit(features)
        self.resConfUnit2 = ResidualUnit(features)

    def forward(self, x: Tensor, level: Tensor | None, size: tuple[int, int]) -> Tensor:
        """`x` (f, c, h, w), with `level` of the same size added, to (f, c, *size)."""
        if self.resConfUnit1 is not None and level is not None:
            x = x + self.resConfUnit1(level)
        # A 1x1 convolution commutes with the enlargement, whose weights sum to 1, and is cheaper before it.
        return enlarge(self.out_conv(self.resConfUnit2(x)), size)


class DenseHead(DPT):
    """A DPT that ends in values and a confidence per pixel."""

    def __init__(self, config: DPTConfig, width: int, values: int, activate: Activation) -> None:
        super().__init__(config, width, config.features // 2, embed_position=True)
        self.activate = activate
        self.scratch.output_conv2 = nn.Sequential(
            nn.Conv2d(config.features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, values + 1, 1)
        )

    def forward(self, levels: list[Tensor], image_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Levels (f, h, w, c) to values (f, H, W, k) and confidence (f, H, W), which starts at 1."""
        height, width = image_size
        x = embed_position(enlarge(self.fuse(levels), image_size), width / height)
        x = self.scratch.output_conv2(x).permute(0, 2, 3, 1)
        return self.activate(x[..., :-1]).contiguous(), 1 + x[..., -1].exp()


class FeatureExtractor(DPT):
    """A DPT that ends in feature maps for the tracker, without positions."""

    def __init__(self, config: DPTConfig, width: int, down_ratio: int) -> None:
        super().__init__(config, width, config.features, embed_position=False)
        self.down_ratio = down_ratio

    def forward(self, levels: list[Tensor], image_size: tuple[int, int]) -> Tensor:
        """Levels (f, h, w, c) to features (f, H / down_ratio, W / down_ratio, c)."""
        height, width = image_size
        x = enlarge(self.fuse(levels), (height // self.down_ratio, width // self.down_ratio))
        return x.permute(0, 2, 3, 1).contiguous()


def signed_expm1(x: Tensor) -> Tensor:
    """sign(x) (exp(|x|) - 1): coordinates of either sign over many orders of magnitude."""
    return x.sign() * x.abs().expm1()


def size_of(x: Tensor) -> tuple[int, int]:
    """Rows and columns of a map (f, c, rows, columns)."""
    return x.shape[-2], x.shape[-1]


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, corner pixels aligned."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def embed_position(x: Tensor, aspect: float) -> Tensor:
    """Add to `x` (f, c, rows, columns), in place, where each sample looks. Returns `x`."""
    half = x.shape[1] // 2
    by_column, by_row = tables.view_angles(*size_of(x), x.shape[1], aspect, x.device)
    x[:, :half] += by_column
    x[:, half:] += by_row
    return x
