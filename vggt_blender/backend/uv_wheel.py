"""uv, the installer that builds the backend's environment: one pinned release, checked by its hash.

This module may import the standard library and exchange only. Hashes are those of the wheels on the Python Package
Index.
"""

from __future__ import annotations

import hashlib
import json
import platform
import stat
import sys
import urllib.request
import zipfile
from pathlib import Path

from ..exchange.messages import JobError, Reporter

VERSION = "0.13.9"

_WHEELS = {
    ("linux", "x86_64"): (
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    ("linux", "aarch64"): (
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
    ("darwin", "arm64"): ("macosx_11_0_arm64", "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63"),
    ("darwin", "x86_64"): ("macosx_10_12_x86_64", "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5"),
    ("win32", "amd64"): ("win_amd64", "6a44b2ed8111d2f60d2b92627c5dccda3f7ed7570b18ce115e569cd68c28246b"),
    ("win32", "arm64"): ("win_arm64", "eeb92051c2123b9730c46b04cc843cfa4bc7d7b0aec56df431a2215ef4cb0273"),
}

_INDEX = f"https://pypi.org/pypi/uv/{VERSION}/json"
_TIMEOUT_S = 30


def wheel_name_and_hash() -> tuple[str, str]:
    """File name and SHA-256 of the wheel for this machine. Raises `JobError` where there is none."""
    system = "linux" if sys.platform.startswith("linux") else sys.platform
    try:
        tag, digest = _WHEELS[system, platform.machine().lower()]
    except KeyError:
        raise JobError(
            "setup",
            f"The backend cannot be set up by itself on {system} {platform.machine()}: make a Python environment "
            "with the packages of pyproject.toml and choose its interpreter in the preferences.",
        ) from None
    return f"uv-{VERSION}-py3-none-{tag}.whl", digest


def provide_uv(folder: Path, wheels: Path | None, report: Reporter) -> Path:
    """The uv program in `folder`, from the folder `wheels` or, where that is None, from the Python Package Index.

    Raises `JobError` where it cannot be had or is not the pinned file.
    """
    name, digest = wheel_name_and_hash()
    program = folder / ("uv.exe" if sys.platform == "win32" else "uv")
    if program.is_file() and (folder / name).is_file():
        return program
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / name
    report.status("Fetching the installer (uv, 18 MB).")
    partial = wheel.with_suffix(".partial")
    partial.write_bytes(_from_folder(wheels, name) if wheels is not None else _from_index(name))
    if hashlib.sha256(partial.read_bytes()).hexdigest() != digest:
        partial.unlink()
        raise JobError("setup", f"'{name}' is not the published file: it was not used. Try again.")
    with zipfile.ZipFile(partial) as archive:
        member = next(entry for entry in archive.namelist() if entry.endswith(f"/scripts/{program.name}"))
        program.write_bytes(archive.read(member))
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    partial.replace(wheel)
    return program


def _from_folder(wheels: Path, name: str) -> bytes:
    try:
        return (wheels / name).read_bytes()
    except OSError:
        raise JobError("setup", f"The folder '{wheels}' has no readable '{name}': put it there.") from None


def _from_index(name: str) -> bytes:
    try:
        files = json.loads(_fetch(_INDEX))["urls"]
        return _fetch(next(file["url"] for file in files if file["filename"] == name))
    except (OSError, ValueError, KeyError, StopIteration) as failure:
        raise JobError(
            "offline",
            "The Python Package Index cannot be reached. Check the network and try again, or set the backend up from "
            "a folder of wheels.",
            str(failure),
        ) from None


def _fetch(url: str) -> bytes:
    if not url.startswith("https://"):
        raise ValueError(f"not a secure address: {url}")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - https alone, see above
        content: bytes = answer.read()
    return content
