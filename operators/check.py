"""What the backend's own `doctor` says about this machine, asked for without waiting."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..vggt_blender.backend.process import BackendProcess
from .locations import ROOT

DOCTOR = ("-m", "vggt_blender", "doctor", "--json")
ENGINE_NAMES = {"colmap": "COLMAP", "vggt": "VGGT"}


@dataclass(frozen=True)
class Finding:
    """One line of the answer; `good` is None for what is merely told."""

    topic: str
    text: str
    good: bool | None = None


class Check:
    """One run of `doctor`. ``findings`` is None until it has answered."""

    def __init__(self) -> None:
        self.findings: list[Finding] | None = None
        self._process: BackendProcess | None = None
        self._output = ""

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self, interpreter: Path) -> None:
        """Ask `interpreter`. Raises `JobError` where it does not start."""
        self.close()
        self._process = BackendProcess(interpreter, ROOT, DOCTOR)
        self._process.end_input()
        self._output = ""

    def step(self) -> bool:
        """Take what has been said. Returns whether the answer is complete now."""
        if self._process is None:
            return False
        while (line := self._process.next_line()) is not None:
            self._output += line
        if not self._process.is_over():
            return False
        self.findings = findings_of(self._output, self._process.exit_status or 0, self._process.errors)
        self._process = None
        return True

    def close(self) -> None:
        """Forget the answer and end the process."""
        if self._process is not None:
            self._process.kill()
        self.findings = self._process = None


def findings_of(output: str, status: int, errors: str) -> list[Finding]:
    """The answer of `doctor --json` as lines for people."""
    try:
        report: Any = json.loads(output)
    except ValueError:
        report = None
    if status != 0 or not isinstance(report, dict):
        last = errors.strip().rpartition("\n")[2] or f"exit status {status}"
        return [Finding("Backend", f"does not run: {last}", good=False)]
    system, python = report.get("system", {}), report.get("python", {})
    missing = [name for name, version in report.get("libraries", {}).items() if version is None]
    return [
        Finding("Python", f"{python.get('version')}  {python.get('executable')}"),
        Finding("System", f"{system.get('cores')} cores, {system.get('memory_gb')} GB memory"),
        *(Finding("Device", f"{device['name']}: {device['description']}") for device in report.get("devices", [])),
        *(
            Finding(ENGINE_NAMES.get(name, name), problem or "ready", good=problem is None)
            for name, problem in report.get("engines", {}).items()
        ),
        *([Finding("Not installed", ", ".join(missing))] if missing else []),
    ]


check = Check()
