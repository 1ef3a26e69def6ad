"""What the backend's own `doctor` says about this machine, asked for without waiting."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..vggt_blender.backend.process import BackendProcess
from ..vggt_blender.exchange.messages import JobError
from .locations import ROOT

DOCTOR = ("-m", "vggt_blender", "doctor", "--json")
ENGINE_NAMES = {"colmap": "COLMAP", "vggt": "VGGT"}

WITHOUT_VGGT = "The backend has no PyTorch: set it up again with VGGT, or choose a Python that has it."


@dataclass(frozen=True)
class Finding:
    """One line of the answer; `good` is None for what is merely told."""

    topic: str
    text: str
    good: bool | None = None


class Check:
    """One run of `doctor`. ``report`` is its answer and ``findings`` the same for people; None until it has answered.

    ``about`` is the interpreter that was asked.
    """

    def __init__(self) -> None:
        self.about: Path | None = None
        self.report: dict[str, Any] | None = None
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
        self._output, self.about = "", interpreter

    def ask(self, interpreter: Path) -> None:
        """`start`, unless `interpreter` has been asked already. A solve says more clearly what does not start."""
        if self.about != interpreter:
            with contextlib.suppress(JobError):
                self.start(interpreter)

    def obstacle(self, interpreter: Path, engine: str, model: str) -> str | None:
        """Why `engine` cannot run with `model` (empty: the best one there is), as far as it is known."""
        if self.report is None or self.about != interpreter:
            return None
        problem: str | None = self.report.get("engines", {}).get(engine)
        if problem is not None:
            return WITHOUT_VGGT if engine == "vggt" else problem
        here = [row["path"] for row in self.models() if model in ("", row["name"])]
        if engine == "vggt" and here and not any(here):
            return "The model's weights are not on this machine: download them, or use a file."
        return None

    def lacks_vggt(self) -> bool:
        """Whether the backend is known to be without what VGGT needs."""
        return (self.report or {}).get("engines", {}).get("vggt") is not None

    def models(self) -> list[dict[str, Any]]:
        """The models that can be had, as `models --json` says; none where nobody has been asked."""
        return (self.report or {}).get("models") or []

    def step(self) -> bool:
        """Take what has been said. Returns whether the answer is complete now."""
        if self._process is None:
            return False
        while (line := self._process.next_line()) is not None:
            self._output += line
        if not self._process.is_over():
            return False
        self.report = _parsed(self._output) if self._process.exit_status == 0 else None
        self.findings = findings_of(self.report, self._process.exit_status or 0, self._process.errors)
        self._process = None
        return True

    def close(self) -> None:
        """Forget the answer and end the process."""
        if self._process is not None:
            self._process.kill()
        self.about = self.report = self.findings = self._process = None


def _parsed(output: str) -> dict[str, Any] | None:
    try:
        report = json.loads(output)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None


def findings_of(report: dict[str, Any] | None, status: int, errors: str) -> list[Finding]:
    """The answer of `doctor --json` as lines for people."""
    if report is None:
        last = errors.strip().rpartition("\n")[2] or f"exit status {status}"
        return [Finding("Backend", f"does not run: {last}", good=False)]
    system, python = report.get("system", {}), report.get("python", {})
    missing = [name for name, version in report.get("libraries", {}).items() if version is None]
    return [
        Finding("Python", f"{python.get('version')}  {python.get('executable')}"),
        Finding("System", f"{system.get('cores')} cores, {system.get('memory_gb')} GB memory"),
        *(Finding("Device", f"{device['name']}: {device['description']}") for device in report.get("devices", [])),
        *(_engine(name, problem, report.get("models") or []) for name, problem in report.get("engines", {}).items()),
        *([Finding("Not installed", ", ".join(missing))] if missing else []),
    ]


def _engine(name: str, problem: str | None, models: list[dict[str, Any]]) -> Finding:
    shown = ENGINE_NAMES.get(name, name)
    if problem is None and name == "vggt" and not any(row["path"] for row in models):
        return Finding(shown, "ready for a model file; none of the models below is here", good=None)
    return Finding(shown, problem or "ready", good=problem is None)


check = Check()
