"""Everything that whoever looks into a problem asks for, as text without names or secrets."""

from __future__ import annotations

import os
import platform
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import bpy

from ..vggt_blender.exchange.messages import JobError
from .check import check
from .locations import ROOT, interpreter, preferences, runs_here
from .session import session

DETAIL_LINES = 60
PREFERENCES = ("run_in", "interpreter", "idle_minutes", "backend_folder", "wheels_folder", "results_folder")
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY", re.IGNORECASE)
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_HOME = re.compile(r"(/home/|/Users/|\\Users\\)[^/\\\s'\":]+")


class VGGT_OT_copy_diagnostics(bpy.types.Operator):
    """Copy versions, devices, settings and the last messages to the clipboard. User names and tokens are left out"""

    bl_idname = "vggt.copy_diagnostics"
    bl_label = "Copy Diagnostics"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = diagnostics(context)
        self.report({"INFO"}, "Copied")
        return {"FINISHED"}


def diagnostics(context: bpy.types.Context) -> str:
    """The text, ready to be pasted."""
    parts = [
        ("", _versions()),
        ("Backend", _backend(context)),
        ("Settings", _settings(context)),
        ("Messages", _messages()),
    ]
    text = "\n\n".join("\n".join([*([title] if title else []), *lines]) for title, lines in parts)
    return without_secrets(text, os.environ, Path.home()) + "\n"


def without_secrets(text: str, variables: Mapping[str, str], home: Path) -> str:
    """`text` with the home folder as ``~`` and without user names and tokens, the environment's own included."""
    for name, value in variables.items():
        if _SECRET_NAME.search(name) and len(value) >= 8:
            text = text.replace(value, "<token>")
    text = _TOKEN.sub("<token>", text)
    if len(home.parts) > 1:
        text = text.replace(str(home), "~")
    return _HOME.sub(r"\1<user>", text)


def _versions() -> Iterator[str]:
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    yield f"{manifest['name']} {manifest['version']}"
    yield f"Blender {bpy.app.version_string} ({bpy.app.build_hash.decode()}, {bpy.app.build_platform.decode()})"
    yield f"Python {platform.python_version()} ({sys.executable})"
    yield f"System {platform.platform()} {platform.machine()}, {os.cpu_count()} cores"
    if not bpy.app.background:
        import gpu

        yield f"Display {gpu.platform.renderer_get()} ({gpu.platform.version_get()})"


def _backend(context: bpy.types.Context) -> Iterator[str]:
    try:
        yield f"{'this Python' if runs_here(context) else 'process'}: {interpreter(context)}"
    except JobError as failure:
        yield failure.message
    yield f"online access {'allowed' if bpy.app.online_access else 'not allowed'}"
    if check.findings is None:
        yield "not checked: press Check in the preferences first"
    yield from (f"{finding.topic}: {finding.text}" for finding in check.findings or ())
    libraries = (check.report or {}).get("libraries", {})
    if libraries:
        yield ", ".join(f"{name} {version}" for name, version in libraries.items() if version)
    yield from (f"{row['name']}: {row['path'] or 'not here'}" for row in check.models())


def _settings(context: bpy.types.Context) -> Iterator[str]:
    settings, chosen = context.scene.vggt, preferences(context)
    yield ", ".join(_values(settings))
    yield f"{len(settings.files)} picked, {len(settings.results)} results"
    yield "Lens & Shot: " + ", ".join(_values(settings.known))
    if chosen is not None:
        yield ", ".join(f"{name} {getattr(chosen, name)!r}" for name in PREFERENCES)


def _values(group: bpy.types.PropertyGroup) -> Iterator[str]:
    """Every setting of `group` and its value, of data of the file the name; what is a list or a group is left out."""
    for entry in group.bl_rna.properties:
        value = getattr(group, entry.identifier)
        if entry.identifier in ("rna_type", "name") or isinstance(value, bpy.types.PropertyGroup):
            continue
        if entry.type == "POINTER":
            yield f"{entry.identifier} {value.name if value is not None else None!r}"
        elif entry.type != "COLLECTION":
            yield f"{entry.identifier} {tuple(value) if getattr(entry, 'is_array', False) else value!r}"


def _messages() -> Iterator[str]:
    yield from session.log
    for notice in session.notices:
        if notice.detail:
            yield f"Details of: {notice.message}"
            yield from notice.detail.splitlines()[-DETAIL_LINES:]
