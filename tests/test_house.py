"""The import table of docs/design.md, held: each room imports only what it may."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INNER = ROOT / "vggt_blender"

NUMPY = {"numpy"}
BLENDER = {"bpy", "bpy_extras", "mathutils", "gpu", "blf"}
PICTURES = {"PIL", "cv2", "av", "pycolmap", "trimesh"}
HUB = {"huggingface_hub", "httpx", "tqdm"}  # the client, and its own libraries for errors and progress
WEIGHTS = {"torch", "safetensors"} | HUB
ENGINE_ROOMS = {"exchange", "geometry", "model", "inference", "engines", "refinement", "evaluation", "delivery"}

# room: (third-party modules, rooms of ours) that it may import, itself aside
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "root": (BLENDER, {"operators", "ui", "scene", "exchange", "geometry", "backend"}),
    # of delivery the formats that need no library of their own: each is imported when it is written
    "operators": (BLENDER | NUMPY, {"ui", "scene", "exchange", "geometry", "backend", "delivery"}),
    "ui": (BLENDER, {"operators", "scene", "exchange", "geometry", "backend"}),
    "scene": (BLENDER | NUMPY, {"exchange", "geometry"}),
    "exchange": (NUMPY, {"geometry"}),
    "geometry": (NUMPY, {"exchange"}),
    "backend": (set(), {"exchange", "cli"}),
    "model": ({"torch"}, set()),
    "inference": (NUMPY | PICTURES | WEIGHTS, {"exchange", "geometry", "model"}),
    # of delivery what the worker is asked to export
    "engines": (NUMPY | PICTURES | WEIGHTS, {"exchange", "geometry", "model", "inference", "refinement", "delivery"}),
    "refinement": (NUMPY | PICTURES | WEIGHTS, {"exchange", "geometry", "model", "inference", "engines"}),
    "evaluation": (NUMPY | PICTURES, {"exchange", "geometry"}),
    "delivery": (NUMPY | PICTURES, {"exchange", "geometry", "inference"}),
    "training": (
        NUMPY | PICTURES | WEIGHTS | {"tensorboard"},
        {"exchange", "geometry", "model", "inference", "evaluation"},
    ),
}


def room_of(path: Path) -> str | None:
    parts = path.relative_to(ROOT).parts
    if len(parts) == 1:
        return "root"
    if parts[0] in ("operators", "ui"):
        return parts[0]
    if parts[0] == "vggt_blender" and len(parts) > 2:
        return parts[1]
    return None  # cli and __main__ may import anything, inside the verb


def sources() -> Iterator[Path]:
    yield ROOT / "__init__.py"
    for folder in ("operators", "ui", "vggt_blender"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[ast.stmt, str, str]]:
    """Each import as (statement, 'ours' or 'theirs', room or top-level module)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, "theirs", alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node, "theirs", (node.module or "").split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            base = path.parent
            for _ in range(node.level - 1):
                base = base.parent
            for name in [node.module] if node.module else [alias.name for alias in node.names]:
                target = base.joinpath(*name.split("."))
                assert target.is_relative_to(ROOT), f"{path}: import leaves the extension"
                if path.is_relative_to(INNER):
                    assert target.is_relative_to(INNER), f"{path}: never above the inner package"
                yield node, "ours", _room_of_target(target)


def _room_of_target(target: Path) -> str:
    parts = target.relative_to(ROOT).parts
    return parts[1] if parts[0] == "vggt_blender" and len(parts) > 1 else parts[0]


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_table(path: Path) -> None:
    room = room_of(path)
    for node, owner, name in imports(path):
        where = f"{path.relative_to(ROOT)}:{node.lineno} imports {name}"
        assert name != "vggt_blender" or owner == "ours", f"{where}: relative imports only"
        if room is None:
            assert owner == "ours" or name in sys.stdlib_module_names or node.col_offset > 0, f"{where} at the top"
            continue
        libraries, rooms = TABLE[room]
        if owner == "theirs":
            assert name in sys.stdlib_module_names | libraries, where
        else:
            assert name in rooms | {room, "vggt_blender"}, where


def test_only_these_engines_look_up_to_what_stands_on_them() -> None:
    upward = {"run.py": "refinement", "colmap/turning.py": "refinement", "worker.py": "delivery"}
    found = {}
    for path in (INNER / "engines").rglob("*.py"):
        for node, owner, name in imports(path):
            if owner == "ours" and name in ("refinement", "delivery"):
                assert node.col_offset > 0, f"{path}:{node.lineno}: inside a function, for it imports the engines"
                found[path.relative_to(INNER / "engines").as_posix()] = name
    assert found == upward


def test_root_imports_inside_its_functions() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in top if "__future__" not in ast.unparse(node)] == []


def test_every_room_is_in_the_table() -> None:
    rooms = {path.name for path in INNER.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert rooms <= set(TABLE)
