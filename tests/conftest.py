"""Slow tests run last, so that a mistake shows early; and what setting up the backend offline needs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2  # noqa: F401  before pycolmap, whose copy of the same libraries otherwise corrupts the heap
import pytest

ROOT = Path(__file__).parents[1]
MODULES = {"pillow": "PIL", "opencv-python-headless": "cv2"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def uv_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vggt_blender.backend import uv_wheel

    folder = tmp_path_factory.mktemp("uv")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    done = subprocess.run([*command, f"uv=={uv_wheel.VERSION}"], capture_output=True, text=True, check=False)
    file = folder / uv_wheel.wheel_name_and_hash()[0]
    if done.returncode != 0 or not file.is_file():
        pytest.skip(f"uv's wheel cannot be had here: {done.stderr.strip()[-200:]}")
    return file


@pytest.fixture
def wheels(uv_file: Path, tmp_path: Path) -> Path:
    """A folder with uv and an empty module for every pinned package."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    shutil.copy(uv_file, folder)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["vggt"]:
        name, version = re.match(r"([\w-]+)==([\d.]+)", requirement).groups()
        write_wheel(folder, name, version)
    return folder


@pytest.fixture
def make_wheel() -> Callable[..., None]:
    """Write a wheel of `name` and `version` with `content` into a folder."""
    return write_wheel


def write_wheel(folder: Path, name: str, version: str, content: str = "") -> None:
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{package}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{MODULES.get(name, package)}/__init__.py", content or f"__version__ = '{version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
