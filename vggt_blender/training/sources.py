"""What a run starts from: its data and its network, as the config names them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from ..exchange.messages import JobError
from ..model import VGGT, VGGTConfig
from ..model.patch_encoder import PatchEncoder
from .config import CONFIGS, ModelSection, TrainingConfig
from .folders import SUFFIXES, FolderScenes
from .keeping import Position, read_export
from .scenes import CHUNK, SceneGenerator, ScenePool

HELD_OUT = 1_000_000_007
"""Added to the seed for scenes that training never sees."""
PICTURE_SIDE = 128
POSITION_SPREAD = 0.3
"""How much the positions weigh in the patch tokens that a network starts with."""


def make_source(
    config: TrainingConfig, device: torch.device, *, held_out: bool = False
) -> SceneGenerator | ScenePool | FolderScenes:
    """The training data, or with `held_out` generated scenes that no training of this seed draws."""
    seed = config.run.seed
    if config.data.folders and not held_out:
        return FolderScenes([Path(folder) for folder in config.data.folders], device, seed)
    pictures = load_pictures(Path(config.data.pictures)) if config.data.pictures else None
    generator = SceneGenerator(config.scenes, device, seed + HELD_OUT * held_out, pictures)
    data = config.data
    if data.reuse <= 1 or held_out:
        return generator
    frames = max(data.frames)
    size = max(height for height, _ in data.sizes), max(width for _, width in data.sizes)
    batches = round(data.reuse * CHUNK * frames / data.images_per_batch)
    return ScenePool(generator.batch, frames=frames, size=size, batches=batches, seed=seed)


def load_pictures(folder: Path, limit: int = 256) -> Tensor:
    """Square crops (K, T, T, 3) of a folder's pictures, linear, for surfaces. Raises `JobError` without any."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)[:limit]
    if not paths:
        raise JobError("not_found", f"data.pictures: no pictures in '{folder}'.")
    crops = []
    for path in paths:
        with Image.open(path) as opened:
            crop = ImageOps.fit(ImageOps.exif_transpose(opened).convert("RGB"), (PICTURE_SIDE, PICTURE_SIDE))
        crops.append(torch.from_numpy(np.asarray(crop).copy()).float() / 255)
    return torch.stack(crops) ** 2.2


def start_model(config: TrainingConfig) -> tuple[VGGT, dict[str, Tensor] | None, Position]:
    """The network with its starting weights, their moving average if there is one, and the position they were at."""
    section = config.model
    if section.checkpoint:
        path = Path(section.checkpoint)
        if not path.is_file():
            raise JobError("not_found", f"model.checkpoint: there is no file '{path}'.")
        weights, average, sizes, position = read_export(path)
        try:
            if section.grow:
                sizes = _doubled(sizes)
                weights, average = _grown(weights), None if average is None else _grown(average)
            model = VGGT(_matching(sizes, weights))
            model.load_state_dict(weights)
        except (KeyError, RuntimeError) as failure:
            raise JobError("broken", f"'{path.name}' does not fit its own architecture.", str(failure)) from None
        return model, average, position
    model = VGGT(load_architecture(section.architecture))
    _prepare_to_learn(model, section)
    return model, None, Position()


def _doubled(config: VGGTConfig) -> VGGTConfig:
    """The same network with patches of twice the size. Raises `JobError` where that is not the same."""
    encoder = config.encoder
    if encoder is None or not encoder.stem or config.patch_size % 2 == 0:
        raise JobError("broken", "model.grow: only a network with a stem and patches of an odd size can double them.")
    larger = replace(config, patch_size=2 * config.patch_size, picture_side=2 * config.picture_side)
    return replace(larger, encoder=replace(encoder, img_size=2 * encoder.img_size))


def _grown(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights for a `_doubled` network: the stem's first convolution sees the means of two by two pixels."""
    name = "aggregator.patch_embed.patch_embed.first.weight"
    kernel = weights[name].repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2) / 4
    return weights | {name: kernel}


def _prepare_to_learn(model: VGGT, section: ModelSection) -> None:
    """A start near the mean camera: a field of view below zero is cut off, and would never learn to come back."""
    for blocks in (model.aggregator.frame_blocks, model.aggregator.global_blocks):
        _scale_residuals(blocks, section.layer_scale)
    encoder = model.aggregator.patch_embed
    if isinstance(encoder, PatchEncoder):
        with torch.no_grad():
            encoder.pos_embed[:, 1:] = POSITION_SPREAD * _waves(encoder.grid, encoder.pos_embed.shape[-1])
    for tokens in (model.aggregator.camera_token, model.aggregator.register_token):
        nn.init.normal_(tokens, std=section.token_std)
    if model.camera_head is not None:
        _scale_residuals(model.camera_head.trunk, section.camera_layer_scale)
        last, iterations = model.camera_head.pose_branch.fc2, model.camera_head.iterations
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias.copy_(torch.tensor([0, 0, 0, 0, 0, 0, 1.0, 0.8, 1.0]) / iterations)


def _waves(side: int, width: int) -> Tensor:
    """Sines and cosines (side * side, width) of the places on a grid, row by row: from half a wave over the whole grid
    to one in four steps."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    frequencies = torch.pi / side * torch.logspace(0, 1, width // 4, base=max(side / 2, 1))
    parts = [wave(place.flatten()[:, None] * frequencies) for place in (x, y) for wave in (torch.sin, torch.cos)]
    return torch.cat(parts, dim=-1)


def _scale_residuals(blocks: nn.Module, start: float) -> None:
    for name, parameter in blocks.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(parameter, start)


def _matching(config: VGGTConfig, weights: dict[str, Tensor]) -> VGGTConfig:
    """The architecture without the heads that the file does not have."""
    there = {name.split(".")[0].removesuffix("_head") for name in weights}
    off = {head: None for head in ("camera", "depth", "point", "track") if head not in there}
    return replace(config, **off)  # type: ignore[arg-type]


def load_architecture(name: str) -> VGGTConfig:
    """A network's sizes by name or from a JSON file. Raises `JobError` with the names there are."""
    path = Path(name) if name.endswith(".json") else CONFIGS / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.json")))
        raise JobError("not_found", f"model.architecture: '{name}' is neither a file nor one of {known}.")
    try:
        return VGGTConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as failure:
        raise JobError("broken", f"'{path}' does not describe a network: {failure}.") from None
