"""Installs the extension's zip in real Blenders and runs the add-on there; prints what passed and what did not.

    run.py [--blender PATH] [--zip FILE] [--versions 4.3 5.2] [--shot FOLDER --first NUMBER]
           [--pictures FOLDER]

``--blender`` (or the variable REAL_BLENDER) is a program called as ``PATH setup VERSION``, ``PATH VERSION ARGUMENTS``
(in the background) and ``PATH gui VERSION SCRIPT`` (in a window). Without it, where a version cannot be set up, or
where it does not see this folder (a Blender in a container or in a root of its own), that is said and skipped. Standard
library only.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from repository import try_repository  # beside this script

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DEFAULT_BLENDER = ROOT.parent / "shared" / "bin" / "real-blender"
SPEAKER = ROOT / "tests" / "addon" / "speaker.py"
WINDOW_S = 2400  # only what hangs takes so long

TROUBLE = re.compile(r"Traceback|\bError\b|\bERROR\b|Warning|WARNING|Exception|rna_|not found|unknown", re.IGNORECASE)
# What these Blenders say on their own in a bare surrounding, whether or not the add-on is there.
USUAL = re.compile(
    r"^(PASS|FAIL|STATE|INFO|EXPECT|SKIPPED) |list of mounted file-systems|Repository data: .* sync required"
    r"|pulse|jack|alsa|ALSA|libdecor|XDG_RUNTIME_DIR"
    r"|Not freed memory blocks: \d\d?,"  # Blender 4.3 and 4.5, once filters of a shot were changed; 5.0 frees them
)


class Report:
    """What passed and failed so far."""

    def __init__(self) -> None:
        self.failures = 0

    def check(self, name: str, passed: bool, why: object = "") -> None:
        print(f"PASS {name}" if passed else f"FAIL {name}: {why}", flush=True)
        self.failures += not passed

    def take(self, output: str) -> None:
        """Count and pass on the lines that the scripts inside Blender said."""
        for line in output.splitlines():
            if line.startswith(("PASS ", "FAIL ", "INFO ", "SKIPPED ")):
                print(line)
                self.failures += line.startswith("FAIL ")


def main() -> int:
    options = parse()
    blender = options.blender or (DEFAULT_BLENDER if DEFAULT_BLENDER.exists() else None)
    if blender is None:
        print("SKIPPED: no real Blender here (name it with --blender or REAL_BLENDER)")
        return 0
    archive = options.zip or max((ROOT / "dist").glob("vggt_matchmove-*.zip"), default=None)
    if archive is None:
        print("There is no zip to try: make zip")
        return 1
    report = Report()
    for version in options.versions:
        print(f"\n-- Blender {version}", flush=True)
        setup = subprocess.run([blender, "setup", version], capture_output=True, text=True, check=False)
        if setup.returncode != 0:
            reason = (setup.stderr.strip() or setup.stdout.strip()).rpartition("\n")[2]
            print(f"SKIPPED: Blender {version} cannot be set up here: {reason}")
            continue
        with tempfile.TemporaryDirectory(prefix="vggt-real-") as scratch:
            program = Blender(Path(blender), version, Path(scratch), options)
            if not program.sees(archive.resolve()):
                print(f"SKIPPED: Blender {version} does not see {archive.resolve()}; it lives in a root of its own")
                continue
            try_version(program, archive, report)
    print(f"\n{report.failures} failed" if report.failures else "\nall passed")
    return min(report.failures, 1)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", type=Path, default=os.environ.get("REAL_BLENDER"))
    parser.add_argument("--zip", type=Path)
    parser.add_argument("--versions", nargs="+", default=["4.3", "5.2"])
    parser.add_argument("--shot", type=Path, default=ROOT / "samples" / "courtyard", help="pictures to solve")
    parser.add_argument("--first", type=int, default=1001, help="the first of the eight frames to solve")
    parser.add_argument("--pictures", type=Path, help="keep a picture of every state there")
    return parser.parse_args()


class Blender:
    """One version, with settings, results and backups in `scratch`."""

    def __init__(self, program: Path, version: str, scratch: Path, options: argparse.Namespace) -> None:
        self._program, self._version, self.scratch = program, version, scratch
        speaker = scratch / "speaking_python"
        python = sys.executable
        speaker.write_text(f'#!/bin/sh\n"{python}" -c "" && exec "{python}" "{SPEAKER}"\nexec python3 "{SPEAKER}"\n')
        speaker.chmod(0o755)
        for name in ("user", "temporary"):
            (scratch / name).mkdir()
        self._environment = {
            **os.environ,
            "BLENDER_USER_RESOURCES": str(scratch / "user"),
            "TMPDIR": str(scratch / "temporary"),
            "REAL_BLENDER_TIMEOUT": str(WINDOW_S),
            "VGGT_BACKEND_PYTHON": sys.executable,
            "VGGT_CHECK_SPEAKER": str(speaker),
            "VGGT_CHECK_SCRATCH": str(scratch),
            "VGGT_CHECK_WHEELS": str(scratch / "wheels"),
            "VGGT_CHECK_SHOT": str(options.shot.resolve()),
            "VGGT_CHECK_FIRST": str(options.first),
            "VGGT_CHECK_PICTURES": str(options.pictures.resolve()) if options.pictures else "",
        }
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)

    def background(self, *arguments: str) -> str:
        """Run without a window; everything that it printed."""
        return self._run(self._version, *arguments)

    def window(self, script: Path) -> str:
        """Run `script` in a window; everything that was printed."""
        return self._run("gui", self._version, str(script), str(self.scratch / "last.png"), "1")

    def sees(self, file: Path) -> bool:
        """Whether the file on this disk is there inside Blender too (its root may be another, or an older state)."""
        question = f"import os; print('SEEN', os.path.getsize({str(file)!r}))"
        return f"SEEN {file.stat().st_size}" in self.background("--python-expr", question)

    def has_wheels(self) -> bool:
        """Make a folder of stand-in wheels for the set-up; False where the installer's own cannot be had."""
        spec = importlib.util.spec_from_file_location("stand_in_wheels", ROOT / "tests" / "stand_in_wheels.py")
        wheels = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(wheels)
        folder = self.scratch / "wheels"
        folder.mkdir()
        if wheels.fetch_uv(folder):
            return False
        wheels.write_pinned(folder)
        return True

    def _run(self, *arguments: str) -> str:
        return subprocess.run(
            [self._program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environment,
            cwd=ROOT,
            check=False,
        ).stdout


def try_version(blender: Blender, archive: Path, report: Report) -> None:
    installed = blender.scratch / "user" / "extensions" / "user_default" / "vggt_matchmove"
    output = blender.background(
        "--command", "extension", "install-file", "-r", "user_default", "--enable", str(archive.resolve())
    )
    report.check("the zip installs", (installed / "__init__.py").is_file(), output)
    output = blender.background("--python-exit-code", "1", "--python", str(HERE / "background.py"))
    follow(output, report, "without a window")
    output = blender.window(HERE / "window.py")
    follow(output, report, "in a window")
    if blender.has_wheels():
        output = blender.window(HERE / "setting_up.py")
        follow(output, report, "of the set-up")
    else:
        print("SKIPPED the set-up: uv's wheel cannot be had here")
    output = blender.background("--command", "extension", "remove", "user_default.vggt_matchmove")
    left = list((blender.scratch / "user").rglob("*vggt_matchmove*"))
    report.check("removing it leaves nothing", not left, (left, output))
    try_repository(blender.background, archive.resolve(), blender.scratch, report.check)


def follow(output: str, report: Report, where: str) -> None:
    """What the script said, whether it came to its end, and what else is on the console."""
    report.take(output)
    report.check(f"the checks {where} come to their end", "END" in output.splitlines(), output[-2000:])
    expected = re.findall(r"^EXPECT (.+)$", output, re.MULTILINE)
    trouble, state = [], ""
    for line in output.splitlines():
        if line.startswith("STATE "):
            state = line.removeprefix("STATE ")
        elif TROUBLE.search(line) and not USUAL.search(line) and not any(text in line for text in expected):
            trouble.append(f"[{state}] {line}")
    report.check(f"the console is quiet {where}", not trouble, "\n".join(["", *trouble]))
    for pid in re.findall(r"^LEFT (\d+)$", output, re.MULTILINE):
        report.check("the backend ends with Blender", ends(int(pid)), pid)


def ends(pid: int, patience_s: float = 60.0) -> bool:
    """Whether the process is gone within `patience_s`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main())
