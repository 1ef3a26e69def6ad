"""What this machine has, what would run on it, and why not: the verb ``doctor``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "pillow", "av", "opencv-python-headless", "pycolmap", "trimesh", "torch", "safetensors")
OPTIONAL = ("huggingface_hub", "bpy")


def examine() -> dict[str, Any]:
    """Plain JSON values: versions, devices, memory, models, engines and what stands in their way."""
    from .engines.run import NEEDS, choose_engine, obstacle
    from .exchange.job import Job
    from .inference.catalog import describe

    return {
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "system": {"name": platform.platform(), "cores": os.cpu_count(), "memory_gb": _memory_gb()},
        "libraries": {name: _version(name) for name in (*LIBRARIES, *OPTIONAL)},
        "devices": _devices(),
        "models": describe(),
        "engines": {name: obstacle(name) for name in NEEDS},
        "auto_engine": choose_engine(Job(inputs=("-",), output="-")),
        "home_free_gb": round(shutil.disk_usage(Path.home()).free / 1e9, 1),
    }


def readable(report: dict[str, Any]) -> str:
    """The same for people."""
    system = report["system"]
    lines = [
        f"Python     {report['python']['version']}  ({report['python']['executable']})",
        f"System     {system['name']}, {system['cores']} cores, {_known(system['memory_gb'], ' GB')} memory",
        f"Disk       {report['home_free_gb']} GB free in the home folder",
        "Libraries",
        *(f"    {name:<24} {version or 'missing'}" for name, version in report["libraries"].items()),
        "Devices",
        *(f"    {device['name']:<24} {device['description']}" for device in report["devices"]),
        "Models",
        *(f"    {model['name']:<24} {model['path'] or 'not on this machine'}" for model in report["models"]),
        "Engines",
        *(f"    {name:<24} {problem or 'ready'}" for name, problem in report["engines"].items()),
        f"'reconstruct' takes the engine '{report['auto_engine']}' unless told otherwise.",
    ]
    return "\n".join(lines)


def _known(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value}{unit}"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _devices() -> list[dict[str, str]]:
    """What torch can compute on; the processor alone where there is no torch."""
    found = [{"name": "cpu", "description": platform.processor() or platform.machine()}]
    try:
        import torch
    except ImportError:
        return found
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            {"name": f"cuda:{index}", "description": f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"}
        )
    if torch.backends.mps.is_available():
        found.append({"name": "mps", "description": "Apple GPU"})
    return found
