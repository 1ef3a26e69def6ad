"""A step's work, recorded once on an NVIDIA GPU and played again: a small network waits for Python most of its time.

Batches of one shape are one program. What it reads is copied to where it was recorded; what it gives, the gradients and
the loss's parts, lies where the recording put it until the next program is played.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .learner import Draw
from .objective import Parts
from .scenes.generator import Batch

Learn = Callable[[Batch, Draw], Parts]
"""Adds the gradients of a batch's loss to the parameters', and returns the loss's parts."""
WARM_UP = 2
"""So many times it is done as usual first: libraries choose their programs then, and tables are made."""


@dataclass(frozen=True)
class _Program:
    graph: torch.cuda.CUDAGraph
    batch: Batch
    draw: Draw
    gradients: list[Tensor | None]
    parts: Parts


class Replay:
    """Does what `learn` does, for parameters without gradients: without looking at values, it must do the same
    whatever they are."""

    def __init__(self, learn: Learn, parameters: Sequence[nn.Parameter]) -> None:
        self.learn, self.parameters = learn, list(parameters)
        self._programs: dict[tuple[int, ...], _Program] = {}
        self._memory: Any = None

    def __call__(self, batch: Batch, draw: Draw) -> Parts:
        """The loss's parts; the parameters' gradients are set, not added to. Both hold until the next call."""
        shape = tuple(batch["images"].shape)
        if shape not in self._programs:
            self._programs[shape] = self._record(batch, draw)
        program = self._programs[shape]
        for name, kept in program.batch.items():
            kept.copy_(batch[name], non_blocking=True)
        for there, value in ((program.draw.dense, draw.dense), (program.draw.matched, draw.matched)):
            if there is not None and value is not None:
                there.copy_(value, non_blocking=True)
        program.graph.replay()
        for parameter, gradient in zip(self.parameters, program.gradients, strict=True):
            parameter.grad = gradient
        return program.parts

    def _record(self, batch: Batch, draw: Draw) -> _Program:
        kept = {name: value.clone() for name, value in batch.items()}
        drawn = Draw(*(None if value is None else value.clone() for value in (draw.dense, draw.matched)))
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self.learn(kept, drawn)
                self._forget()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory):
            parts = self.learn(kept, drawn)
        self._memory = graph.pool()
        gradients = [parameter.grad for parameter in self.parameters]
        self._forget()
        return _Program(graph, kept, drawn, gradients, parts)

    def _forget(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None
