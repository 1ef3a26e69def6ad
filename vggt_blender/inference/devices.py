"""Which device runs the network, in which precision, and how much memory it has free."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from ..exchange.messages import JobError


@dataclass(frozen=True)
class Device:
    """``kind`` is ``cpu``, ``cuda`` (ROCm included) or ``mps``; ``half`` the 16-bit type that it computes fast in, or
    None where float32 is the better choice; ``name`` for people."""

    kind: str
    half: torch.dtype | None
    name: str

    def free_bytes(self) -> int:
        """Memory that a run may take now."""
        if self.kind == "cuda":
            return int(torch.cuda.mem_get_info()[0])
        if self.kind == "mps":
            return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
        return free_memory()


def choose_device(request: str = "auto") -> Device:
    """The requested device, or the fastest here. Raises `JobError` where it is not to be had."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = next(name for name, here in available.items() if here) if request == "auto" else request
    if not available[kind]:
        raise JobError(
            "device",
            f"PyTorch {torch.__version__} finds no {kind} device here: choose 'auto' or 'cpu', "
            "or install the PyTorch build for this GPU.",
        )
    if kind == "cuda":
        half = torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
        return Device("cuda", half, torch.cuda.get_device_name())
    if kind == "mps":
        return Device("mps", torch.float16, "Apple GPU")
    return Device("cpu", torch.bfloat16 if cpu_computes_bf16() else None, f"CPU, {torch.get_num_threads()} threads")


def cpu_computes_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware; elsewhere it is slower than float32."""
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def free_memory() -> int:
    """Bytes of main memory that can be had without swapping, a container's limit included."""
    if sys.platform == "win32":
        return _free_memory_windows()
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    within = left_in_container(Path("/sys/fs/cgroup"))
    return available if within is None else min(available, within)


def left_in_container(group: Path) -> int | None:
    """Bytes that a control group (version 2) still allows, or None where it has no limit. Cached files do not count as
    used, such as a checkpoint that was just read: they make room."""
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        entries = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return limit - used + int(entries["active_file"]) + int(entries["inactive_file"])
    except (OSError, KeyError, ValueError):
        return None


def _free_memory_windows() -> int:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
        )

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.free)
