"""The sizes of a VGGT, from the whole network down to its heads; the defaults are VGGT-1B's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

LEVELS = 4  # feature levels that a DPT head fuses


@dataclass(frozen=True)
class EncoderConfig:
    """Patch encoder: DINOv2's ViT-L/14 with registers, trained on squares of `img_size` pixels.

    With `stem` channels, patches are taken from a few convolutions' features instead of from the pixels.
    """

    img_size: int = 518
    embed_dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    num_register_tokens: int = 4
    stem: int = 0


@dataclass(frozen=True)
class AggregatorConfig:
    """Alternating attention: `depth` frame-wise and `depth` global blocks, `aa_block_size` of a kind in a row."""

    embed_dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    num_register_tokens: int = 4
    rope_freq: float = 100.0
    aa_block_size: int = 1

    @property
    def patch_start(self) -> int:
        """Index of the first patch token of a frame: the camera token and the registers come before it."""
        return 1 + self.num_register_tokens


@dataclass(frozen=True)
class CameraConfig:
    """Camera head."""

    trunk_depth: int = 4
    num_heads: int = 16
    mlp_ratio: float = 4.0
    iterations: int = 4


@dataclass(frozen=True)
class DPTConfig:
    """A DPT head, reading the aggregator's `layers`, projected to `out_channels` and fused in `features` channels."""

    features: int = 256
    out_channels: tuple[int, ...] = (256, 512, 1024, 1024)
    layers: tuple[int, ...] = (4, 11, 17, 23)


@dataclass(frozen=True)
class TrackConfig:
    """Tracking head; its feature extractor is a DPT of `latent_dim` features."""

    out_channels: tuple[int, ...] = (256, 512, 1024, 1024)
    layers: tuple[int, ...] = (4, 11, 17, 23)
    down_ratio: int = 2
    stride: int = 2
    corr_levels: int = 7
    corr_radius: int = 4
    latent_dim: int = 128
    hidden_size: int = 384
    depth: int = 6
    num_heads: int = 8
    num_virtual_tracks: int = 64
    max_scale: float = 518.0
    iters: int = 4
    mlp_ratio: float = 4.0

    @property
    def extractor(self) -> DPTConfig:
        """The DPT that makes the feature maps."""
        return DPTConfig(self.latent_dim, self.out_channels, self.layers)


@dataclass(frozen=True)
class VGGTConfig:
    """All sizes of one network. `encoder` None stands for a single convolution; a head that is None is off.

    `middle_first` is no size but a habit: the network wants the middle frame first, so that the one with which all
    others are compared shares as much as possible with them. Of the others' order it knows nothing. So is
    `picture_side`: the longer side, in pixels, of the pictures that suit it best; 0 for those of its encoder.
    """

    patch_size: int = 14
    middle_first: bool = False
    picture_side: int = 0
    aggregator: AggregatorConfig = field(default_factory=AggregatorConfig)
    encoder: EncoderConfig | None = field(default_factory=EncoderConfig)
    camera: CameraConfig | None = field(default_factory=CameraConfig)
    depth: DPTConfig | None = field(default_factory=DPTConfig)
    point: DPTConfig | None = field(default_factory=DPTConfig)
    track: TrackConfig | None = field(default_factory=TrackConfig)

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> VGGTConfig:
        """Sizes from plain numbers, as the reference data describe their networks.

        Sections `aggregator`, `vit`, `camera_head`, `dpt` (both dense heads; `depth_head` and `point_head` override
        it one by one) and `track_head`; whatever is absent has VGGT-1B's value, a head that is null is off.
        Entries outside these sections (pictures, queries) are not about sizes and are passed over.

        Raises
        ------
        ValueError
            for a size that this network does not know, or that cannot work.
        """
        trunk = dict(description.get("aggregator") or {})
        kind = trunk.pop("patch_embed", "vit")
        img_size = trunk.pop("img_size", 518)
        aggregator = _section(AggregatorConfig, "aggregator", trunk)
        encoder = None
        if kind != "conv":
            sizes = {"img_size": img_size, "embed_dim": aggregator.embed_dim} | dict(description.get("vit") or {})
            encoder = _section(EncoderConfig, "vit", sizes)
        dense = {
            head: None if head in description and description[head] is None else _dense(description, head)
            for head in ("depth_head", "point_head")
        }
        config = cls(
            patch_size=int(description.get("patch_size", 14)),
            middle_first=bool(description.get("middle_first", False)),
            picture_side=int(description.get("picture_side", 0)),
            aggregator=aggregator,
            encoder=encoder,
            camera=_head(CameraConfig, "camera_head", description),
            depth=dense["depth_head"],
            point=dense["point_head"],
            track=_head(TrackConfig, "track_head", description),
        )
        config.check()
        return config

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        heads = {"camera_head": self.camera, "depth_head": self.depth, "point_head": self.point}
        return {
            "patch_size": self.patch_size,
            "middle_first": self.middle_first,
            "picture_side": self.picture_side,
            "aggregator": asdict(self.aggregator) | {"patch_embed": "vit" if self.encoder else "conv"},
            "vit": asdict(self.encoder) if self.encoder else None,
            **{name: asdict(head) if head else None for name, head in {**heads, "track_head": self.track}.items()},
        }

    def check(self) -> None:
        """Raise ValueError where sizes contradict each other."""
        trunk = self.aggregator
        if self.picture_side < 0 or self.picture_side % self.patch_size:
            raise ValueError(f"picture_side {self.picture_side} is no multiple of patch_size {self.patch_size}")
        if self.encoder and self.encoder.embed_dim != trunk.embed_dim:
            raise ValueError(
                f"vit.embed_dim {self.encoder.embed_dim} and aggregator.embed_dim {trunk.embed_dim} differ"
            )
        if self.encoder and (self.encoder.stem < 0 or self.encoder.stem % 4):
            raise ValueError(f"vit.stem {self.encoder.stem} must be a multiple of 4")
        if trunk.embed_dim % (4 * trunk.num_heads):
            raise ValueError(f"embed_dim {trunk.embed_dim} / num_heads {trunk.num_heads} must divide by 4 (RoPE)")
        if trunk.rope_freq <= 0:
            raise ValueError("rope_freq must be positive: the network has no form without rotary positions")
        if trunk.depth % trunk.aa_block_size:
            raise ValueError(f"depth {trunk.depth} is no multiple of aa_block_size {trunk.aa_block_size}")
        for name, head in (("depth", self.depth), ("point", self.point), ("track", self.track)):
            if head and not (len(head.layers) == len(head.out_channels) == LEVELS):
                raise ValueError(f"the {name} head needs {LEVELS} layers and {LEVELS} out_channels")
            if head and not all(0 <= layer < trunk.depth for layer in head.layers):
                raise ValueError(f"the {name} head reads layers {head.layers} of {trunk.depth}")


def _dense(description: Mapping[str, Any], head: str) -> DPTConfig | None:
    if description.get("dpt", {}) is None:
        return None
    return _section(DPTConfig, head, dict(description.get("dpt", {})) | dict(description.get(head, {})))


def _head(kind: type, section: str, description: Mapping[str, Any]) -> Any:
    sizes = description.get(section, {})
    return None if sizes is None else _section(kind, section, sizes)


def _section(kind: type, name: str, sizes: Mapping[str, Any]) -> Any:
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(set(sizes) - known)
    if unknown:
        raise ValueError(f"{name}: unknown size {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()})
