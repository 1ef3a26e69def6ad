"""What a training run is, as one TOML file: read strictly, so that a slip of the pen is a clear line at once."""

from __future__ import annotations

import tomllib
import types
import typing
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from ..exchange.messages import JobError
from .scenes import SceneConfig

CONFIGS = Path(__file__).parent / "configs"
"""Where the architectures live that `model.architecture` may name."""


@dataclass(frozen=True)
class ModelSection:
    """The network and where it starts.

    ``architecture``: a name in `CONFIGS` or a JSON file as `VGGTConfig.from_dict` takes it; not needed with a
    ``checkpoint`` (any one file of it), whose own is taken. ``frozen``: prefixes of parameter names that do not learn.
    ``layer_scale``: the start of the aggregator's residual factors in a network that starts from nothing.
    ``continue_schedule``: go on where the run that wrote the checkpoint stopped, instead of from step 0.
    ``camera_layer_scale`` and ``token_std`` are the camera head's residual factors and the spread of the camera and
    register tokens in a network that starts from nothing; the defaults are the released network's. ``grow``: twice the
    checkpoint's patch size, so that pictures of twice the size begin with the answers that the small ones had.
    """

    architecture: str = "vggt-mini"
    checkpoint: str = ""
    frozen: list[str] = field(default_factory=list)
    layer_scale: float = 0.1
    camera_layer_scale: float = 0.01
    token_std: float = 1e-6
    continue_schedule: bool = False
    grow: bool = False


@dataclass(frozen=True)
class DataSection:
    """Batches of about ``images_per_batch`` pictures: one of ``frames`` a scene, one of ``sizes`` (height, width).

    ``folders``: shots with a truth.json, or reconstruction folders, to train on instead of generated scenes.
    ``pictures``: a folder of pictures to put on generated surfaces. ``dense_frames``: so many frames of each scene,
    drawn anew every step, have their depth and points computed and compared; 0 for all. ``reuse``: how many times a
    generated picture is learned from, every time in another combination (`scenes.ScenePool`); not with tracks.
    """

    images_per_batch: int = 48
    frames: list[int] = field(default_factory=lambda: [2, 3, 4, 6, 8])
    sizes: list[list[int]] = field(default_factory=lambda: [[126, 224], [168, 224], [224, 224], [224, 126], [224, 168]])
    folders: list[str] = field(default_factory=list)
    pictures: str = ""
    dense_frames: int = 0
    reuse: int = 1


@dataclass(frozen=True)
class LossSection:
    """Weights; 0 leaves a head out. ``depth_neighbors`` and ``point_neighbors`` as in `losses.dense_loss`.

    Beyond the paper, off unless given: ``matching``, ``displacement`` and ``seen`` (`losses.matching_loss`);
    ``pair_rotation``, ``pair_direction`` and ``baseline`` (`losses.pair_loss`); ``log_depth``
    (`losses.log_depth_loss`).
    """

    camera: float = 5.0
    depth: float = 1.0
    point: float = 1.0
    track: float = 0.05
    camera_kind: str = "l1"
    depth_neighbors: str = "grad"
    point_neighbors: str = "normal"
    valid_range: float = 0.98
    matching: float = 0.0
    displacement: float = 0.0
    seen: float = 0.0
    pair_rotation: float = 0.0
    pair_direction: float = 0.0
    baseline: float = 0.0
    log_depth: float = 0.0


@dataclass(frozen=True)
class OptimizerSection:
    """``warmup`` steps (again after a start with fresh moments), then a cosine down to ``final_rate``.

    ``kind``: adamw, or muon for the blocks' matrices and AdamW for the rest (`training.optimizers`).
    """

    kind: str = "adamw"
    rate: float = 2e-4
    final_rate: float = 1e-6
    warmup: int = 200
    weight_decay: float = 0.05
    beta2: float = 0.95
    clip: float = 1.0
    accumulate: int = 1
    ema: float = 0.999


@dataclass(frozen=True)
class RunSection:
    """``steps`` or ``total_minutes`` (over all calls, without compilation) end the schedule, ``minutes`` this call, all
    included; with ``minutes`` alone the schedule ends with this call. The rest is how and how often.

    ``precision`` float32 or bfloat16; ``device`` auto, cpu, cuda or mps; ``compile`` fuses the blocks; ``replay``
    records the steps of one NVIDIA GPU and plays them again (`training.replay`); ``threads`` 0 leaves the choice to
    torch; ``shard_megabytes`` bounds every file that is written for keeping. ``keep``: a second folder that gets what
    is worth keeping at every save: a run that is killed leaves there what it had.
    """

    output: str = "runs/training"
    keep: str = ""
    steps: int = 0
    total_minutes: float = 0.0
    minutes: float = 0.0
    device: str = "auto"
    precision: str = "bfloat16"
    checkpointing: bool = False
    compile: bool = False
    replay: bool = False
    seed: int = 42
    threads: int = 0
    log_every: int = 20
    save_every: int = 500
    shard_megabytes: float = 15.5
    tensorboard: bool = False


@dataclass(frozen=True)
class ValidationSection:
    """Every ``every`` steps and at the end: ``scenes`` generated ones never trained on, and ``folders`` with truth."""

    every: int = 1000
    scenes: int = 32
    frames: int = 4
    size: list[int] = field(default_factory=lambda: [168, 224])
    folders: list[str] = field(default_factory=list)
    folder_frames: int = 8
    pictures: bool = True


@dataclass(frozen=True)
class TrainingConfig:
    """One run."""

    model: ModelSection = field(default_factory=ModelSection)
    data: DataSection = field(default_factory=DataSection)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    loss: LossSection = field(default_factory=LossSection)
    optimizer: OptimizerSection = field(default_factory=OptimizerSection)
    run: RunSection = field(default_factory=RunSection)
    validation: ValidationSection = field(default_factory=ValidationSection)


def load_config(path: Path) -> TrainingConfig:
    """Read and check `path`; relative folders in it start from the current directory. Raises `JobError`, one line."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise JobError("not_found", f"The training config '{path}' cannot be read: {failure.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise JobError("broken", f"'{path}' is not valid TOML: {failure}.") from None
    try:
        config = _section(TrainingConfig, document, "")
        check(config)
    except ValueError as failure:
        raise JobError("broken", f"'{path}': {failure}.") from None
    return config


def _section(kind: type, entries: dict[str, Any], where: str) -> Any:
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(set(entries) - known)
    if unknown:
        raise ValueError(f"unknown entry {where}{unknown[0]}; known are {', '.join(sorted(known))}")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, f"{where}{name}") for name, value in entries.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be a table")
        return _section(kind, value, f"{where}.")
    if isinstance(kind, types.GenericAlias):
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list")
        return [_value(typing.get_args(kind)[0], entry, f"{where}[{index}]") for index, entry in enumerate(value)]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{where} must be a {kind.__name__}, not {value!r}")
    return value


def check(config: TrainingConfig) -> None:
    """Raise ValueError where values cannot work, with the entry's name."""
    data, run, validation = config.data, config.run, config.validation
    lengths = (run.steps, run.total_minutes, run.minutes)
    _demand(max(lengths) > 0, "run.steps, run.total_minutes or run.minutes must say how long the run is")
    _demand(run.precision in ("float32", "bfloat16"), "run.precision must be 'float32' or 'bfloat16'")
    _demand(run.device in ("auto", "cpu", "cuda", "mps"), "run.device must be 'auto', 'cpu', 'cuda' or 'mps'")
    _demand(bool(data.frames) and min(data.frames) >= 1, "data.frames must name numbers of frames from 1 up")
    _demand(data.images_per_batch >= max(data.frames), "data.images_per_batch must hold the longest scene")
    for name, sizes in (("data.sizes", data.sizes), ("validation.size", [validation.size])):
        fits = sizes and all(len(size) == 2 and min(size) > 0 and not any(side % 14 for side in size) for size in sizes)
        _demand(bool(fits), f"{name} must hold heights and widths that are multiples of 14")
    _demand(1 <= config.scenes.supersample <= 4, "scenes.supersample must be 1 to 4")
    _demand(config.loss.camera_kind in ("l1", "l2"), "loss.camera_kind must be 'l1' or 'l2'")
    loss = {name: value for name, value in vars(config.loss).items() if isinstance(value, float)}
    _demand(min(value for name, value in loss.items() if name != "valid_range") >= 0, "loss weights: >= 0")
    _demand(data.dense_frames >= 0, "data.dense_frames must be at least 0")
    _demand(data.reuse >= 1, "data.reuse must be at least 1")
    _demand(data.reuse == 1 or not config.scenes.tracks, "data.reuse must be 1 with scenes.tracks")
    _demand(config.optimizer.accumulate >= 1, "optimizer.accumulate must be at least 1")
    _demand(config.optimizer.kind in ("adamw", "muon"), "optimizer.kind must be 'adamw' or 'muon'")
    plain = config.optimizer.accumulate == 1 and not run.checkpointing
    _demand(not run.replay or plain, "run.replay goes with neither optimizer.accumulate nor run.checkpointing")
    _demand(0 <= config.optimizer.ema < 1, "optimizer.ema must be in [0, 1)")
    _demand(min(run.log_every, run.save_every, validation.every) >= 1, "every_... entries must be at least 1")


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
