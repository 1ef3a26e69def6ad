"""The loop: batches in, steps of the optimizer, a diary, validation, and a state from which it goes on after a kill."""

from __future__ import annotations

import itertools
import math
import random
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..exchange.messages import JobError
from ..model import VGGT
from .checks import check_projection, rounded_products
from .compiling import fuse_blocks
from .config import TrainingConfig, load_config
from .folders import load_shot
from .groups import freeze
from .keeping import (
    STATE,
    MovingAverage,
    Position,
    export,
    keep,
    load_state,
    read_matching,
    save_state,
)
from .learner import Draw, Learner
from .logbook import LOG, Logbook
from .objective import Parts, heads_to_train, query_points, total_loss
from .optimizers import Optimizer
from .processes import Processes, on_signal
from .replay import Replay
from .scenes.generator import Batch, sent
from .sources import make_source, start_model
from .validation import answer, folder_batch, folder_names, mean_guess, mean_numbers, measure, picture

GENERATED = "generated"
EXPORT = "export"
MATCHED_FRAMES = 3
"""In a step, the patches of at most so many frames a scene are looked for in the first."""
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
        self.output = Path(config.run.output)
        self.output.mkdir(parents=True, exist_ok=True)
        for folder in config.validation.folders:
            load_shot(Path(folder))  # one that is not there is to be known now, not at the first validation
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
        matching = max(config.loss.matching, config.loss.displacement, config.loss.seen) > 0
        self.learner = Learner(self.model, matching).to(self.device)
        if self.learner.readings is not None:
            self.groups["matching"] = list(self.learner.readings.parameters())
            if config.model.checkpoint:
                read_matching(Path(config.model.checkpoint), self.learner.readings)
        self.optimizer = Optimizer(self.learner, config.optimizer, fused=self.device.type == "cuda")
        self.model.checkpoint_blocks(config.run.checkpointing)
        self._resume()
        self.network = processes.wrapped(self.learner)
        self.precision = getattr(torch, config.run.precision)
        self.logbook = Logbook(self.output, active=processes.first, tensorboard=config.run.tensorboard)
        self.replay: Replay | None = None
        if config.run.replay:
            if self.device.type != "cuda" or processes.count > 1:
                raise JobError("no_device", "run.replay is for one NVIDIA GPU and one process: set it to false here.")
            parameters = [parameter for group in self.groups.values() for parameter in group]
            self.replay = Replay(self._add_gradient, parameters)
        # While a GPU works on a step, the CPU can already draw the next one's scenes.
        self.prefetch = self.device.type == "cuda"
        self._prepared: dict[tuple[int, int], Batch] = {}
        self._held_out: Batch | None = None
        self.schedule_seconds = 60 * config.run.total_minutes
        self.stopping = False
        self.broken: int | Tensor = 0

    def _resume(self) -> None:
        path = self.output / STATE
        if not path.is_file():
            return
        state = load_state(path)
        try:
            self.model.load_state_dict(state["model"])
            if self.learner.readings is not None:
                self.learner.readings.load_state_dict(state["matching"])
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
        if self.schedule_seconds:
            done.append(self.position.seconds / self.schedule_seconds)
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
        return self.make_batch(step, micro) if prepared is None else prepared

    def make_batch(self, step: int, micro: int) -> Batch:
        data = self.config.data
        chooser = random.Random(f"{self.config.run.seed}/{step}")  # noqa: S311 - a schedule, not a secret
        frames = chooser.choice(data.frames)
        height, width = chooser.choice(data.sizes)
        index = (step * self.config.optimizer.accumulate + micro) * self.processes.count + self.processes.rank
        return self.source.batch(index, max(1, data.images_per_batch // frames), frames, height, width)

    def _draw(self, frames: int) -> Draw:
        """What the coming step draws beside its batch of `frames` a scene; the same in every process."""
        chooser = random.Random(f"{self.config.run.seed}/{self.position.step}/draw")  # noqa: S311 - no secret either
        some = self.config.data.dense_frames
        dense = sorted(chooser.sample(range(frames), some)) if 0 < some < frames else []
        matched = sorted(chooser.sample(range(1, frames), min(MATCHED_FRAMES, frames - 1)))
        chosen = (sent(torch.tensor(numbers), self.device) if numbers else None for numbers in (dense, matched))
        return Draw(*chosen)

    def _learn_from(self, batch: Batch, share: float) -> Parts:
        """Add `share` of the gradient of a batch's loss. Returns the loss's parts."""
        draw = self._draw(batch["images"].shape[1])
        if self.replay is not None:
            return self.replay(batch, draw)
        return self._add_gradient(batch, draw, share)

    def _add_gradient(self, batch: Batch, draw: Draw, share: float = 1.0) -> Parts:
        enabled = self.precision != torch.float32
        with rounded_products(self.device), torch.autocast(self.device.type, self.precision, enabled=enabled):
            results = self.network(batch["images"], query_points(batch), self.heads, draw)
        sizes = self.model.config
        patch, special = sizes.patch_size, sizes.aggregator.patch_start
        loss, found = total_loss(results, batch, self.config.loss, draw, patch, special)
        with rounded_products(self.device):
            (loss * share).backward()
        return found

    def warm_up(self) -> None:
        """Every number of frames and size once, nothing learned: programs are compiled, labels looked at, and the
        memory seen to suffice, before the minutes count. Raises `JobError`."""
        data = self.config.data
        for frames, (height, width) in itertools.product(data.frames, data.sizes):
            batch = self.source.batch(0, max(1, data.images_per_batch // frames), frames, height, width)
            check_projection(batch)
            try:
                self._learn_from(batch, 1.0)
            except torch.OutOfMemoryError:
                line = f"{frames} frames a scene of {height} x {width} do not fit: lower data.images_per_batch."
                raise JobError("memory", line) from None
            self.optimizer.zero_grad()

    def step(self) -> tuple[Parts, int]:
        """One step of the optimizer. Returns the loss's parts and the number of pictures of this process."""
        settings, images = self.config.optimizer, 0
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.zero_grad()
        parts: Parts = {}
        for micro in range(settings.accumulate):
            batch = self.batch(micro)
            images += batch["images"].shape[0] * batch["images"].shape[1]
            last = micro == settings.accumulate - 1
            with nullcontext() if last else self.processes.apart(self.network):
                found = self._learn_from(batch, 1 / settings.accumulate)
            for name, value in found.items():
                parts[name] = parts.get(name, 0) + value / settings.accumulate
        if self.prefetch:
            following = self.position.step + 1
            self._prepared = {(following, 0): self.make_batch(following, 0)}
        norms = {
            f"norm_{name}": nn.utils.clip_grad_norm_(parameters, settings.clip)
            for name, parameters in self.groups.items()
        }
        self._update(torch.stack([parts["loss"], *norms.values()]))
        self.average.update(self.position.step)
        self.position.step += 1
        self.position.since_fresh += 1
        self.position.images += images * self.processes.count
        return parts | norms, images

    def _update(self, numbers: Tensor) -> None:
        """A step of the optimizer if all `numbers` are finite; every process must come to the same decision."""
        if self.replay is not None:
            # Decided on the device: to look at the numbers would be to wait for them.
            broken = ~torch.isfinite(numbers).all()
            self.optimizer.step(broken.float())
            self.broken = (self.broken + 1) * broken
        elif self.processes.all_finite(numbers):
            self.optimizer.step()
            self.broken = 0
        else:
            self.broken += 1

    def run(self) -> None:
        """Steps until the schedule or this call's minutes end; then state, export and validation.

        The schedule's clock starts after the warm-up, the call's before it.
        """
        run, called = self.config.run, time.monotonic()
        self.prepare()
        started, before = time.monotonic(), self.position.seconds
        if not run.steps and not run.total_minutes:
            left = 60 * run.minutes - (started - called)
            self.schedule_seconds = before + self.processes.largest(max(left, 1.0))
        validated = -1
        with on_signal(self.stop):
            while self.progress() < 1 and not self.stopping:
                since = time.monotonic()
                parts, images = self.step()
                self.position.seconds = self.processes.largest(before + time.monotonic() - started)
                if self.position.step % run.log_every == 0:
                    self._log(parts, images, time.monotonic() - since)
                looked = self.replay is None or self.position.step % run.log_every == 0
                if looked and self.broken >= BROKEN_STEPS:
                    raise JobError("diverged", f"No finite loss in {BROKEN_STEPS} steps: lower optimizer.rate.")
                if self.position.step % run.save_every == 0:
                    self.save()
                if self.position.step % self.config.validation.every == 0:
                    self._report()
                    validated = self.position.step
                spent = time.monotonic() - called
                self.stopping |= self.processes.any_true(bool(run.minutes) and spent > 60 * run.minutes)
        self.save()
        if validated != self.position.step:
            self._report()
        self._keep()
        self.logbook.close()

    def stop(self) -> None:
        """End the run after the step in hand, with everything saved."""
        self.stopping = True

    def prepare(self) -> None:
        """Compile what is to be compiled, and go on without where the machine cannot."""
        if not self.config.run.compile and self.replay is None:
            batch = self._prepared[(self.position.step, 0)] = self.batch()
            check_projection(batch)
            return
        undo = fuse_blocks(self.model) if self.config.run.compile else lambda: None
        try:
            self.warm_up()
        except JobError:
            raise
        except Exception as failure:
            undo()
            self.replay = None
            self.optimizer.zero_grad()
            warnings.warn(f"The run goes on without run.compile and run.replay: {failure}"[:500], stacklevel=2)
            self.warm_up()

    def _report(self) -> None:
        """Validate; a validation that fails costs its numbers and nothing else."""
        try:
            self.validate()
        except Exception as failure:
            warnings.warn(f"Validation failed, training goes on: {type(failure).__name__}: {failure}", stacklevel=2)

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
        content: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.shadow,
            "position": vars(self.position),
        }
        if self.learner.readings is not None:
            content["matching"] = self.learner.readings.state_dict()
        save_state(self.output / STATE, content)
        size = int(self.config.run.shard_megabytes * 1e6)
        extra = content.get("matching", {})
        export(
            self.output / EXPORT,
            self.model.state_dict(),
            self.average.shadow,
            self.model.config,
            self.position,
            size,
            extra,
        )
        self._keep()

    def _keep(self) -> None:
        """Copy what is worth keeping to `run.keep`."""
        if self.config.run.keep and self.processes.first:
            more = (self.output / LOG, self.output / f"validation_{GENERATED}.jpg")
            keep(self.output / EXPORT, Path(self.config.run.keep), [path for path in more if path.is_file()])

    def validate(self) -> dict[str, dict[str, float]]:
        """Errors of the moving average on held-out scenes and on the validation folders, and of the mean guess."""
        if not self.processes.first or "camera" not in self.heads:
            return {}
        depth = "depth" in self.heads
        found, reference = {}, None
        with self._average_in_place():
            for name, batch in self._validation_batches():
                with rounded_products(self.device):
                    given = answer(self.model, batch, self.precision, depth=depth)
                found[name] = measure(given, batch)
                reference = reference or (batch if name == GENERATED else None)
                if reference is not None:
                    found[f"{name}_mean_guess"] = measure(mean_guess(batch, reference), batch)
                if depth and self.config.validation.pictures:
                    self.logbook.show(f"validation_{name}", picture(given, batch))
        shots = folder_names(self.config.validation.folders)
        for suffix in ("", "_mean_guess"):
            if shots and f"{shots[0]}{suffix}" in found:
                found[f"shots{suffix}"] = mean_numbers([found[f"{name}{suffix}"] for name in shots])
        for name, numbers in found.items():
            self.logbook.write(f"validation_{name}", self.position.step, numbers)
        return found

    def _validation_batches(self) -> Iterator[tuple[str, Batch]]:
        settings = self.config.validation
        if settings.scenes:
            if self._held_out is None:
                source = make_source(self.config, self.device, held_out=True)
                self._held_out = source.batch(0, settings.scenes, settings.frames, *settings.size)
            yield GENERATED, self._held_out
        for name, folder in zip(folder_names(settings.folders), settings.folders, strict=True):
            batch = folder_batch(Path(folder), settings.folder_frames, settings.size[1])
            yield name, {key: value.to(self.device) for key, value in batch.items()}

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
