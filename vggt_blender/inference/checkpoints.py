"""Checkpoint files into a model: safetensors or ``.pt``, memory-mapped, checked, never unpickled as code.

A model is built on the meta device and takes the file's own memory-mapped tensors, so loading costs no more memory than
the weights that are used. The architecture comes from the file: safetensors metadata ``vggt_config``, else VGGT-1B.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..exchange.messages import JobError
from ..model import HEADS, VGGT, VGGTConfig

CONFIG_KEY = "vggt_config"
SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.safetensors")


def read_tensors(path: Path) -> tuple[dict[str, Tensor], VGGTConfig]:
    """The state dict in `path`, memory-mapped, and the architecture it is for.

    A checkpoint in shards is given by any one of its files.
    Raises `JobError` for a file that is neither format, truncated, or holds anything but tensors.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(shards(path))
    return _read_torch(path), VGGTConfig()


def read_config(path: Path) -> VGGTConfig:
    """The architecture that the checkpoint in `path` is for; no tensor is read. Raises `JobError` as `read_tensors`."""
    if path.suffix != ".safetensors":
        return VGGTConfig()
    try:
        with safe_open(path, framework="pt", device="cpu") as archive:
            return _described(archive.metadata() or {}) or VGGTConfig()
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as failure:
        raise _unreadable(path, failure) from None


def _described(metadata: Mapping[str, str]) -> VGGTConfig | None:
    return VGGTConfig.from_dict(json.loads(metadata[CONFIG_KEY])) if CONFIG_KEY in metadata else None


def shards(path: Path) -> list[Path]:
    """All files of a checkpoint named ``*-00001-of-0000N.safetensors``; for any other name the file alone."""
    match = SHARD.fullmatch(path.name)
    if match is None:
        return [path]
    stem, count = match["stem"], match["count"]
    files = [path.with_name(f"{stem}-{part:05d}-of-{count}.safetensors") for part in range(1, int(count) + 1)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise JobError("broken", f"The checkpoint '{path.name}' is incomplete: {', '.join(missing)} is missing.")
    return files


def _read_safetensors(files: Iterable[Path]) -> tuple[dict[str, Tensor], VGGTConfig]:
    tensors: dict[str, Tensor] = {}
    config: VGGTConfig | None = None
    for file in files:
        try:
            with safe_open(file, framework="pt", device="cpu") as archive:
                config = _described(archive.metadata() or {}) or config
                tensors |= {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 - no iterator
        except (SafetensorError, OSError, ValueError, TypeError, KeyError) as failure:
            raise _unreadable(file, failure) from None
    return tensors, config or VGGTConfig()


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as failure:  # a damaged archive raises whatever its damaged part raises
        raise _unreadable(path, failure) from None
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]  # as training programs save it, beside the optimizer
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise JobError("broken", f"'{path.name}' is not a VGGT checkpoint: it holds other things than tensors.")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _unreadable(path: Path, failure: Exception) -> JobError:
    size = path.stat().st_size if path.is_file() else 0
    return JobError(
        "broken",
        f"'{path.name}' ({size / 1e6:.0f} MB) is damaged, incomplete or not a checkpoint: download it again.",
        f"{type(failure).__name__}: {failure}",
    )


def load_model(path: Path, *, heads: Iterable[str] = HEADS, half: torch.dtype | None = None) -> VGGT:
    """The model in `path`, on the CPU, with those of `heads` that the file has.

    `half` (bfloat16 or float16) is the type that the aggregator's linear layers are stored and computed in; None keeps
    float32. Raises `JobError` that names what is missing or misshapen.
    """
    tensors, config = read_tensors(path)
    model = _empty_model(config, tensors, set(heads))
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    dropped = {f"{head}_head" for head in HEADS if getattr(model.config, head) is None}
    kept = {name: value for name, value in tensors.items() if name.split(".")[0] not in dropped}
    _check(path, expected, kept)
    halved = model.half_precision_keys() if half is not None else frozenset()
    state = {name: value.to(half if name in halved else torch.float32) for name, value in kept.items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def _empty_model(config: VGGTConfig, tensors: Iterable[str], wanted: set[str]) -> VGGT:
    """The model without memory for its weights, and without heads that are not wanted or not in the file at all."""
    there = {name.split(".")[0].removesuffix("_head") for name in tensors}
    off = {head: None for head in HEADS if head not in wanted & there}
    with torch.device("meta"):
        return VGGT(replace(config, **off))  # type: ignore[arg-type]


def _check(path: Path, expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> None:
    missing = sorted(set(expected) - set(tensors))
    unknown = sorted(set(tensors) - set(expected))
    misshapen = sorted(
        f"{name} is {tuple(tensors[name].shape)}, not {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    )
    problems = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("misshapen", misshapen), ("unknown", unknown))
        if names
    ]
    if problems:
        raise JobError(
            "broken",
            f"'{path.name}' is not a checkpoint of this model: {'; '.join(problems)}.",
            "\n".join([*missing, *misshapen, *unknown]),
        )


def save(
    tensors: Mapping[str, Tensor], config: VGGTConfig, path: Path, *, shard_bytes: int | None = None
) -> list[Path]:
    """Write safetensors with the architecture in the metadata; in shards of at most `shard_bytes` where given."""
    from safetensors.torch import save_file

    groups: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        if shard_bytes is not None and filled + tensor.nbytes > shard_bytes and groups[-1]:
            groups.append({})
            filled = 0
        groups[-1][name] = tensor.detach().contiguous()
        filled += tensor.nbytes
    metadata = {"format": "pt", CONFIG_KEY: json.dumps(config.to_dict())}
    files = []
    for part, group in enumerate(groups, 1):
        name = path.name if len(groups) == 1 else f"{path.stem}-{part:05d}-of-{len(groups):05d}.safetensors"
        files.append(path.with_name(name))
        save_file(group, files[-1], metadata=metadata)
    return files


def convert(source: Path, target: Path) -> None:
    """A ``.pt`` checkpoint as safetensors, once; `target` appears only when it is whole."""
    tensors, config = read_tensors(source)
    model = _empty_model(config, tensors, set(HEADS))
    _check(source, {name: tuple(value.shape) for name, value in model.state_dict().items()}, tensors)
    partial = target.with_name(f".{target.stem}.partial.safetensors")
    try:
        save(tensors, model.config, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
