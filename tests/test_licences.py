"""THIRD_PARTY.md lists what the set-up installs and the models that can be downloaded, and the zip carries it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from vggt_blender.backend import uv_wheel
from vggt_blender.inference.catalog import CATALOG

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")


def pinned() -> list[tuple[str, str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = project["dependencies"] + project["optional-dependencies"]["vggt"]
    matches = [re.match(r"([\w-]+)==([\w.]+)", requirement) for requirement in requirements]
    return [(match[1], match[2]) for match in matches if match] + [("uv", uv_wheel.VERSION)]


@pytest.mark.parametrize(("name", "version"), pinned())
def test_every_pinned_package_is_listed_with_its_version(name: str, version: str) -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith(f"| {name} ")]
    assert len(rows) == 1
    assert version in rows[0]


@pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda entry: entry.name)
def test_every_model_is_listed_with_its_licence(entry: object) -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith(f"| {entry.name} ")]
    assert len(rows) == 1
    assert entry.licence.partition(":")[0] in rows[0]


def test_the_package_carries_it() -> None:
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text())
    assert not [
        pattern for pattern in manifest["build"]["paths_exclude_pattern"] if "THIRD" in pattern or ".md" in pattern
    ]
