"""What setting the backend up offline needs: the real installer, small packages of the pinned names and versions."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = {"pillow": "PIL", "opencv-python-headless": "cv2"}


def fetch_uv(folder: Path) -> str:
    """Put uv's wheel into `folder`; returns why it cannot be had, or nothing. A network that hangs is given up soon."""
    source = (ROOT / "vggt_blender" / "backend" / "uv_wheel.py").read_text(encoding="utf-8")
    version = re.search(r'^VERSION = "([^"]+)"', source, re.MULTILINE)[1]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    command += ["--timeout", "30", "--retries", "1"]
    done = subprocess.run([*command, f"uv=={version}"], capture_output=True, text=True, check=False)
    return done.stderr.strip()[-200:] if done.returncode or not any(folder.glob("uv-*")) else ""


def write_pinned(folder: Path) -> None:
    """An empty module for every pinned package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["vggt"]:
        name, version = re.match(r"([\w-]+)==([\d.]+)", requirement).groups()
        write_wheel(folder, name, version)


def write_wheel(folder: Path, name: str, version: str, content: str = "") -> None:
    """A wheel of `name` and `version` whose module holds `content`."""
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{package}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{MODULES.get(name, package)}/__init__.py", content or f"__version__ = '{version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
