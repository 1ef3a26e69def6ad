"""Set up the backend's Python environment in a folder of its own, check what it needs, and take it away again.

This module may import the standard library and exchange only: Blender's own Python runs it as a program of its own,
``python -m vggt_blender.backend.setup FOLDER``, which prints messages as a job does. Nothing outside FOLDER is written,
and only a folder that this program made is ever removed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ..exchange import messages
from ..exchange.messages import Cancelled, JobError
from ..exchange.reporter import Silence
from .environment import interpreter_in, process_environment
from .parent import end_with_input
from .uv_wheel import provide_uv

JOB = "setup"
OLD = "environment.old"
MADE = ("environment", "environment.partial", OLD, "cache", "uv")
MARKER = "made-by-vggt-matchmove.txt"
ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "pyproject.toml"
LOOK_S = 2.0  # how often an installation's progress is looked at

# Gigabytes on disk: the classical engine alone, with PyTorch for the CPU (both measured on Linux x86_64), and with
# PyTorch for CUDA (estimated from the sizes of its packages, not tried).
SIZES_GB = {"colmap": 0.5, "cpu": 1.4, "cuda": 7.0}


@dataclass(frozen=True)
class Plan:
    """What to set up: in `folder`, on `interpreter`, with torch where `with_vggt`.

    `torch_backend` is uv's word for PyTorch's build (``auto`` looks at the machine's GPU); with `wheels`, a folder,
    nothing is fetched from the network.
    """

    folder: Path
    interpreter: Path
    with_vggt: bool = True
    torch_backend: str = "auto"
    wheels: Path | None = None


class _Printed(Silence):
    """Reports as lines on standard output."""

    def progress(self, stage: str, done: int, total: int) -> None:
        _print(messages.progress(JOB, stage, done, total))

    def status(self, message: str) -> None:
        _print(messages.status(JOB, message))

    def warning(self, message: str) -> None:
        _print(messages.warning(JOB, message))


def environment_in(folder: Path) -> Path:
    """The virtual environment that `install` makes in `folder`."""
    return folder / "environment"


def is_ours(folder: Path) -> bool:
    """Whether `install` made `folder`, so that `remove` may delete it."""
    return (folder / MARKER).is_file()


def install(plan: Plan, report: messages.Reporter) -> Path:
    """Make the environment of `plan` and return its interpreter.

    A second try continues from what the first one left. Raises `JobError`; an environment that worked before is only
    replaced once the new one is complete and works.
    """
    folder = plan.folder.absolute()
    _claim(folder)
    uv = provide_uv(folder / "uv", plan.wheels, report)
    fresh = folder / "environment.partial"
    report.status(f"Making an environment for {plan.interpreter}.")
    source = ["--offline"] if plan.wheels is not None else []
    _run(uv, folder, ["venv", *source, "--clear", "--python", str(plan.interpreter), "--relocatable", str(fresh)])
    report.status("Installing packages. The first time this takes minutes.")
    _run(uv, folder, _package_arguments(plan, fresh), _Growth(folder / "cache", expected_gb(plan), report))
    report.status("Checking the environment.")
    _check(interpreter_in(fresh), plan.with_vggt)
    environment = environment_in(folder)
    _exchange(environment, fresh, folder / OLD)
    return interpreter_in(environment)


def remove(folder: Path) -> None:
    """Delete what `install` made, and `folder` too where nothing else is in it. Raises `JobError` for any other folder.

    The mark goes last, so that a removal that was stopped can be finished.
    """
    if not is_ours(folder):
        raise JobError("setup", f"'{folder}' was not made by this add-on: nothing was removed.")
    try:
        for name in MADE:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        (folder / MARKER).unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError as failure:
        text = f"'{failure.filename or folder}' cannot be removed: {failure.strerror or failure}."
        raise JobError("setup", text) from None


def _claim(folder: Path) -> None:
    """Mark `folder` as ours; an existing folder of somebody else's is refused."""
    try:
        if folder.exists() and not is_ours(folder) and any(folder.iterdir()):
            raise JobError("setup", f"'{folder}' already holds other files: choose an empty folder for the backend.")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text("VGGT Matchmove made this folder and removes it again.\n", encoding="utf-8")
    except OSError as failure:
        raise JobError("setup", f"Cannot write to '{folder}': {failure.strerror or failure}.") from None


def _exchange(environment: Path, fresh: Path, old: Path) -> None:
    """Put `fresh` in the place of `environment` by renames, so that one in use (Windows holds its files) stays whole.

    Raises `JobError`, with the environment that was there in its place.
    """
    try:
        if environment.exists():
            if old.exists():
                shutil.rmtree(old)
            environment.rename(old)
        try:
            fresh.rename(environment)
        except OSError:
            if old.exists():
                old.rename(environment)
            raise
    except OSError as failure:
        text = f"'{environment}' is in use: close the other Blender or program that works with it, and set up again."
        raise JobError("setup", text, str(failure)) from None
    shutil.rmtree(old, ignore_errors=True)


def _package_arguments(plan: Plan, environment: Path) -> list[str]:
    extra = ["--extra", "vggt"] if plan.with_vggt else []
    where = (
        ["--offline", "--no-index", "--find-links", str(plan.wheels)]
        if plan.wheels is not None
        else ["--torch-backend", plan.torch_backend]
    )
    python = str(interpreter_in(environment))
    return ["pip", "install", "--python", python, "--only-binary", ":all:", *where, "-r", str(PROJECT), *extra]


def expected_gb(plan: Plan) -> float:
    """What `plan` will probably take on disk, in gigabytes."""
    if not plan.with_vggt:
        return SIZES_GB["colmap"]
    cuda = plan.torch_backend.startswith("cu") or (plan.torch_backend == "auto" and shutil.which("nvidia-smi"))
    return SIZES_GB["cuda" if cuda else "cpu"]


class _Growth:
    """Reports how far an installation is by the size of uv's cache, which uv itself does not tell a program."""

    def __init__(self, cache: Path, expected_gb: float, report: messages.Reporter) -> None:
        self._cache, self._expected, self._report = cache, round(expected_gb * 1000), report

    def look(self) -> None:
        size = 0
        for folder, _, files in os.walk(self._cache):
            for file in files:
                with contextlib.suppress(OSError):  # moved meanwhile
                    size += os.stat(os.path.join(folder, file)).st_size  # noqa: PTH116, PTH118 - thousands of files
        self._report.progress("Installing packages", min(round(size / 1e6), self._expected - 1), self._expected)


def _run(uv: Path, folder: Path, arguments: Sequence[str], growth: _Growth | None = None) -> None:
    """Run uv with its cache in `folder`, so that a removed backend leaves nothing behind."""
    variables = process_environment(ROOT) | {"UV_CACHE_DIR": str(folder / "cache"), "UV_NO_CONFIG": "1"}
    variables.pop("PYTHONPATH")
    with subprocess.Popen(
        [str(uv), *arguments],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            log = _follow(process, growth)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise _failure(log, folder)


def _follow(process: subprocess.Popen[str], growth: _Growth | None) -> str:
    """Wait for `process` and return what it said."""
    while True:
        try:
            return process.communicate(timeout=LOOK_S)[1]
        except subprocess.TimeoutExpired:
            if growth is not None:
                growth.look()


def _failure(log: str, folder: Path) -> JobError:
    """uv's own words as one line that says what to do."""
    if re.search(r"No space left|os error 112|os error 28", log):
        return JobError("disk_full", f"The disk of '{folder}' is full: free some space or choose another folder.", log)
    if re.search(r"dns error|error sending request|Failed to fetch|timed out|connection", log, re.IGNORECASE):
        return JobError("offline", "The network failed during set-up. Try again: what was fetched is kept.", log)
    if "no-index" in log or "not found in the provided package locations" in log or "unsatisfiable" in log:
        missing = re.search(r"Because (\S+) was not found", log)
        what = f" ({missing[1]})" if missing else ""
        return JobError("setup", f"A package{what} is missing from the folder of wheels, or not for this Python.", log)
    last = next((line for line in reversed(log.strip().splitlines()) if line.strip()), "no message")
    return JobError("setup", f"The set-up failed: {last.strip()}", log)


def _check(interpreter: Path, with_vggt: bool) -> None:
    modules = ["numpy", "PIL", "av", "pycolmap", "cv2", "trimesh", *(["torch", "safetensors"] if with_vggt else [])]
    done = subprocess.run(
        [str(interpreter), "-c", f"import {', '.join(modules)}"],
        env=process_environment(ROOT),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise JobError("setup", f"The environment was made but does not work: {last}", done.stderr)


def _print(message: messages.Message) -> None:
    sys.stdout.write(messages.encode(message))
    sys.stdout.flush()


def _cancel(_signal: int, _frame: FrameType | None) -> None:
    raise Cancelled


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vggt_blender.backend.setup", description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder for the environment alone")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the interpreter to build on")
    parser.add_argument("--without-vggt", action="store_true", help="leave torch out: the classical engine only")
    parser.add_argument("--torch-backend", default="auto", help="uv's name of PyTorch's build: auto, cpu, cu128, ...")
    parser.add_argument("--find-links", type=Path, metavar="FOLDER", help="take everything from this folder of wheels")
    parser.add_argument("--remove", action="store_true", help="delete what an earlier set-up made in the folder")
    parser.add_argument("--end-with-input", action="store_true", help="stop when standard input ends")
    options = parser.parse_args(arguments)
    plan = Plan(options.folder, options.python, not options.without_vggt, options.torch_backend, options.find_links)
    signal.signal(signal.SIGTERM, _cancel)
    if options.end_with_input:
        end_with_input()
    try:
        if options.remove:
            _Printed().status("Removing the backend.")
            remove(options.folder)
            _print(messages.done(JOB, os.fspath(options.folder)))
            return 0
        interpreter = install(plan, _Printed())
    except (JobError, KeyboardInterrupt) as failure:
        error = failure if isinstance(failure, JobError) else Cancelled()
        _print(messages.error(JOB, error))
        return 130 if error.code == messages.CANCELLED else 1
    except Exception as failure:
        text = f"The set-up failed unexpectedly ({type(failure).__name__}: {failure})."
        _print(messages.error(JOB, JobError("setup", text, traceback.format_exc())))
        return 1
    _print(messages.done(JOB, os.fspath(interpreter)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
