"""The loop: batches in, steps of AdamW, a diary, validation, and a state from which it goes on after a kill."""

from __future__ import annotations

import math
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from ..exchange.messages import JobError
from ..model import VGGT
from .config import TrainingConfig, load_config
from .keeping import STATE, MovingAverage, Position, export, load_state, save_state
from .logbook import Logbook
from .objective import Parts, heads_to_train, query_points, total_loss
from .processes import Processes
from .scenes.generator import Batch
from .sources import make_source, start_model
from .validation import answer, folder_batch, mean_guess, measure, picture

GENERATED = "generated"
BROKEN_STEPS = 20
"""So many steps in a row without a finite loss end the run."""


def train(config_path: Path) -> None:
    """Train or fine-tune as the TOML file says; goes on where the run's output folder has a state.

    Under ``torchrun`` every process takes part. Raises `JobError` with one clear line.
    """
    config = load_config(Path(config_path))
    with Processes.joined(config.run.device) as processes:
        trainer = Trainer(config, processes)
        trainer.run()


class Source(Protocol):
    """Anything that makes batches: batch `index` is the same on every call."""

    def batch(self, index: int, scenes: int, frames: int, height: int, width: int) -> Batch: ...


class Trainer:
    """One run. ``step()`` can be called alone; ``run()`` does it all."""

    def __init__(self, config: TrainingConfig, processes: Processes) -> None:
        self.config, self.processes = config, processes
        self.device = processes.device
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        torch.manual_seed(config.run.seed)
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.allow_tf32 = True
        self.output = Path(config.run.output)
        self.output.mkdir(parents=True, exist_ok=True)
        self.position = Position()
        self.source: Source = make_source(config, self.device)
        model, average, position = start_model(config)
        if config.model.continue_schedule:
            self.position = position
        self.model: VGGT = model.to(self.device).train()
        self.average = MovingAverage(self.model, config.optimizer.ema)
        if average is not None:
            self.average.shadow |= {name: value.to(self.device) for name, value in average.items()}
        has_tracks = config.scenes.tracks > 0 and not config.data.folders
        self.heads = heads_to_train(self.model.config, config.loss, has_tracks)
        if not self.heads:
            raise JobError("broken", "Nothing to train: no head of this network has a weight in [loss].")
        self.groups = freeze(self.model, config.model.frozen, self.heads)
        self.optimizer = torch.optim.AdamW(
            decayed_groups(self.model, config.optimizer.weight_decay),
            lr=config.optimizer.rate,
            betas=(0.9, config.optimizer.beta2),
            fused=self.device.type == "cuda",
        )
        self.model.checkpoint_blocks(config.run.checkpointing)
        self._resume()
        if config.run.compile:
            fuse_blocks(self.model)
        self.network = processes.wrapped(self.model)
        self.precision = getattr(torch, config.run.precision)
        self.logbook = Logbook(self.output, active=processes.first, tensorboard=config.run.tensorboard)
        # While a GPU works on a step, the CPU can already draw the next one's scenes.
        self.prefetch = self.device.type == "cuda"
        self._prepared: dict[tuple[int, int], Batch] = {}
        self.stopping = False
        self.broken = 0

    def _resume(self) -> None:
        path = self.output / STATE
        if not path.is_file():
            return
        state = load_state(path)
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as failure:
            raise JobError(
                "broken",
                f"The state in '{self.output}' is of another network or setting: choose another run.output.",
                str(failure),
            ) from None
        self.average.shadow = {name: value.to(self.device) for name, value in state["average"].items()}
        self.position = Position(**state["position"])

    def progress(self) -> float:
        """How much of the schedule is done, 0 to 1: by steps or by time, whichever is further."""
        run, done = self.config.run, [0.0]
        if run.steps:
            done.append(self.position.step / run.steps)
        if run.total_minutes:
            done.append(self.position.seconds / (60 * run.total_minutes))
        return min(1.0, max(done))

    def rate(self) -> float:
        """The learning rate of the coming step."""
        settings = self.config.optimizer
        warm = min(1.0, (self.position.since_fresh + 1) / max(settings.warmup, 1))
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress()))
        return warm * (settings.final_rate + (settings.rate - settings.final_rate) * cosine)

    def batch(self, micro: int = 0) -> Batch:
        """The batch of the coming step (and accumulation round `micro`) for this process."""
        step = self.position.step
        prepared = self._prepared.pop((step, micro), None)
        return self._make_batch(step, micro) if prepared is None else prepared

    def _make_batch(self, step: int, micro: int) -> Batch:
        data = self.config.data
        chooser = random.Random(f"{self.config.run.seed}/{step}")  # noqa: S311 - a schedule, not a secret
        frames = chooser.choice(data.frames)
        height, width = chooser.choice(data.sizes)
        index = (step * self.config.optimizer.accumulate + micro) * self.processes.count + self.processes.rank
        return self.source.batch(index, max(1, data.images_per_batch // frames), frames, height, width)

    def step(self) -> tuple[Parts, int]:
        """One step of the optimizer. Returns the loss's parts and the number of pictures of this process."""
        settings, images = self.config.optimizer, 0
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.zero_grad(set_to_none=True)
        parts: Parts = {}
        for micro in range(settings.accumulate):
            batch = self.batch(micro)
            images += batch["images"].shape[0] * batch["images"].shape[1]
            last = micro == settings.accumulate - 1
            with nullcontext() if last else self.processes.apart(self.network):
                enabled = self.precision != torch.float32
                with torch.autocast(self.device.type, self.precision, enabled=enabled):
                    results = self.network(batch["images"], query_points(batch), self.heads)
                loss, found = total_loss(results, batch, self.config.loss)
                (loss / settings.accumulate).backward()
            for name, value in found.items():
                parts[name] = parts.get(name, 0) + value / settings.accumulate
        if self.prefetch:
            following = self.position.step + 1
            self._prepared = {(following, 0): self._make_batch(following, 0)}
        norms = {
            f"norm_{name}": nn.utils.clip_grad_norm_(parameters, settings.clip)
            for name, parameters in self.groups.items()
        }
        # One look at the device a step: every process must come to the same decision.
        if self.processes.all_finite(torch.stack([parts["loss"], *norms.values()])):
            self.optimizer.step()
            self.broken = 0
        else:
            self.broken += 1
        self.average.update(self.model, self.position.step)
        self.position.step += 1
        self.position.since_fresh += 1
        self.position.images += images * self.processes.count
        return parts | norms, images

    def run(self) -> None:
        """Steps until the schedule or this call's minutes end; then validation, state and export."""
        run, started = self.config.run, time.monotonic()
        before = self.position.seconds
        validated = -1
        with self._stops_on_signal():
            while self.progress() < 1 and not self.stopping:
                since = time.monotonic()
                parts, images = self.step()
                self.position.seconds = before + time.monotonic() - started
                if self.position.step % run.log_every == 0:
                    self._log(parts, images, time.monotonic() - since)
                if self.broken >= BROKEN_STEPS:
                    raise JobError("diverged", f"No finite loss in {BROKEN_STEPS} steps: lower optimizer.rate.")
                if self.position.step % run.save_every == 0:
                    self.save()
                if self.position.step % self.config.validation.every == 0:
                    self.validate()
                    validated = self.position.step
                spent = time.monotonic() - started
                self.stopping |= self.processes.any_true(bool(run.minutes) and spent > 60 * run.minutes)
        if validated != self.position.step:
            self.validate()
        self.save()
        self.logbook.close()

    @contextmanager
    def _stops_on_signal(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run after the step in hand, with everything saved."""

        def stop(*_: Any) -> None:
            self.stopping = True

        kinds = (signal.SIGTERM, signal.SIGINT)
        try:
            previous = {kind: signal.signal(kind, stop) for kind in kinds}
        except ValueError:  # not the main thread: whoever runs us there handles signals
            previous = {}
        try:
            yield
        finally:
            for kind, handler in previous.items():
                signal.signal(kind, handler)

    def _log(self, parts: Parts, images: int, seconds: float) -> None:
        numbers = {name: float(value) for name, value in parts.items()}
        numbers |= {
            "rate": self.rate(),
            "progress": self.progress(),
            "images_per_second": images * self.processes.count / seconds,
            "images": float(self.position.images),
            "minutes": self.position.seconds / 60,
        }
        self.logbook.write("train", self.position.step, numbers)

    def save(self) -> None:
        """The full state and the export, written by the first process alone."""
        if not self.processes.first:
            return
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.shadow,
            "position": vars(self.position),
        }
        save_state(self.output / STATE, content)
        size = int(self.config.run.shard_megabytes * 1e6)
        export(
            self.output / "export", self.model.state_dict(), self.average.shadow, self.model.config, self.position, size
        )

    def validate(self) -> dict[str, dict[str, float]]:
        """Errors of the moving average on held-out scenes and on the validation folders, and of the mean guess."""
        if not self.processes.first or not {"camera", "depth"} <= set(self.heads):
            return {}
        found, reference = {}, None
        with self._average_in_place():
            for name, batch in self._validation_batches():
                given = answer(self.model, batch, self.precision)
                found[name] = measure(given, batch)
                reference = reference or (batch if name == GENERATED else None)
                if reference is not None:
                    found[f"{name}_mean_guess"] = measure(mean_guess(batch, reference), batch)
                if self.config.validation.pictures:
                    self.logbook.show(f"validation_{name}", picture(given, batch))
        for name, numbers in found.items():
            self.logbook.write(f"validation_{name}", self.position.step, numbers)
        return found

    def _validation_batches(self) -> Iterator[tuple[str, Batch]]:
        settings = self.config.validation
        if settings.scenes:
            # The last word of the seed sets these scenes apart from all that training can draw.
            source = make_source(self.config, self.device, held_out=True)
            yield GENERATED, source.batch(0, settings.scenes, settings.frames, settings.size[0], settings.size[1])
        for folder in settings.folders:
            batch = folder_batch(Path(folder), settings.folder_frames, settings.size[1])
            yield Path(folder).name, {name: value.to(self.device) for name, value in batch.items()}

    @contextmanager
    def _average_in_place(self) -> Iterator[None]:
        weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.shadow)
        self.model.eval()
        try:
            yield
        finally:
            self.model.load_state_dict(weights)
            self.model.train()


def freeze(model: VGGT, prefixes: list[str], heads: tuple[str, ...]) -> dict[str, list[nn.Parameter]]:
    """Switch off what does not learn; return what does, by module, for clipping.

    Raises `JobError` where nothing is left. Besides `prefixes`, parameters that no loss reaches stay as they are: other
    heads, and the encoder's mask token.
    """
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name, _ in model.named_parameters()):
            raise JobError("broken", f"model.frozen: no parameter's name starts with '{prefix}'.")
    groups: dict[str, list[nn.Parameter]] = {}
    reached = ("aggregator", *(f"{head}_head" for head in heads))
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        learns = part in reached and not name.endswith("mask_token") and not name.startswith(tuple(prefixes) or ("\0",))
        parameter.requires_grad_(learns)
        if learns:
            groups.setdefault(part, []).append(parameter)
    if not groups:
        raise JobError("broken", "model.frozen leaves nothing to train.")
    return groups


def decayed_groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices decay; norms, biases, scales and tokens do not."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in learning if p.dim() >= 2 and "token" not in name and "pos_embed" not in name]
    chosen = {id(p) for p in matrices}
    others = [p for _, p in learning if id(p) not in chosen]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def fuse_blocks(model: VGGT) -> None:
    """Compile the transformer blocks, one program for all of a kind; the rest of the network stays as it is."""
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, 64)
    for blocks in (model.aggregator.frame_blocks, model.aggregator.global_blocks):
        for block in blocks:
            assert isinstance(block, nn.Module)
            block.compile(dynamic=True)
