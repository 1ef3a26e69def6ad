"""One process or several: under ``torchrun`` each takes its share of every step, alone nothing changes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..exchange.messages import JobError


@dataclass(frozen=True)
class Processes:
    """This process among `count`, and its device."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    @contextmanager
    def joined(cls, device: str) -> Iterator[Processes]:
        """The processes that ``torchrun`` started, or this one alone."""
        rank, count, local = (int(os.environ.get(name, default)) for name, default in _ENVIRONMENT)
        chosen = choose_device(device, local)
        if count == 1:
            yield cls(0, 1, chosen)
            return
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        try:
            yield cls(rank, count, chosen)
            dist.barrier()  # one that leaves early takes its connections along while others still use them
        finally:
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this process keeps the diary and the files."""
        return self.rank == 0

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model as the training loop calls it: gradients averaged over the processes."""
        if self.count == 1:
            return model
        return DistributedDataParallel(model, device_ids=[self.device] if self.device.type == "cuda" else None)

    def apart(self, network: nn.Module) -> AbstractContextManager[None]:
        """No averaging inside: for all but the last round of accumulation."""
        return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()

    def all_finite(self, values: Tensor) -> bool:
        """Whether `values` are finite in every process."""
        return not self.any_true(not bool(torch.isfinite(values).all()))

    def largest(self, value: float) -> float:
        """The largest `value` of all processes: what they decide by must be one number, or some wait for ever."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return float(shared)

    def any_true(self, flag: bool) -> bool:
        """Whether `flag` holds in any process."""
        return self.largest(float(flag)) > 0


_ENVIRONMENT = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device `name` stands for; "auto" is the best one here. Raises `JobError` for one that is not here."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    if (name == "cuda" and not cuda) or (name == "mps" and not mps):
        raise JobError("no_device", f"run.device is '{name}', but PyTorch finds none here: set 'auto' or 'cpu'.")
    if name == "cuda":
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)
    return torch.device(name)


@contextmanager
def on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Inside, SIGTERM and SIGINT call `stop` instead of ending the process."""
    kinds = (signal.SIGTERM, signal.SIGINT)
    try:
        previous = {kind: signal.signal(kind, lambda *_: stop()) for kind in kinds}
    except ValueError:  # not the main thread: whoever runs us there handles signals
        previous = {}
    try:
        yield
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)
