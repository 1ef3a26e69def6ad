"""What "Copy Diagnostics" tells, and what it keeps to itself."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


def test_versions_settings_and_messages_are_in_one_paste(
    bpy: ModuleType, addon: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "very-secret-token")
    bpy.ops.vggt.check_backend()
    settings = bpy.context.scene.vggt
    settings.source = str(Path.home() / "shots" / "plates very-secret-token" / "fail")
    settings.engine, settings.known.use_pixel_aspect, settings.known.pixel_aspect = "colmap", True, 2.0
    with pytest.raises(RuntimeError, match="overlap"):
        bpy.ops.vggt.solve()
    text = addon.operators.diagnostics.diagnostics(bpy.context)
    version = (Path(__file__).parents[2] / "blender_manifest.toml").read_text().split('version = "')[2].split('"')[0]
    for part in (
        f"VGGT Matchmove {version}",
        f"Blender {bpy.app.version_string}",
        "engine 'colmap'",
        "use_pixel_aspect True, pixel_aspect 2.0",
        "drawn_mask None",
        "pycolmap",
        "COLMAP",
        "The pictures do not overlap: take more.",
        "all the\ndetails",
    ):
        assert part in text, part
    assert "very-secret-token" not in text
    assert "source '~/shots" in text
    assert str(Path.home()) + "/" not in text


def test_no_setting_is_left_out(bpy: ModuleType, addon: ModuleType) -> None:
    settings = bpy.context.scene.vggt
    settings.drawn_mask, settings.known.distortion = bpy.data.masks.new("actors"), (-0.25, 0, 0, 0, 0)
    text = addon.operators.diagnostics.diagnostics(bpy.context)
    groups = {"files", "results", "known", "name", "rna_type"}
    for group in (settings, settings.known):
        for name in set(group.bl_rna.properties.keys()) - groups:
            assert f"{name} " in text, name
    assert "drawn_mask 'actors'" in text
    assert "distortion (-0.25, 0.0" in text


def test_names_and_tokens_are_left_out(addon: ModuleType) -> None:
    clean = addon.operators.diagnostics.without_secrets
    home = Path("/home/alice")
    variables = {"HF_TOKEN": "abcdefgh1234", "MY_API_KEY": "zyxwvuts", "PATH": "/usr/bin", "SECRET_SHORT": "a"}
    shown = clean(
        "/home/alice/shots /home/bob/x /Users/carol/y C:\\Users\\dave\\z hf_ABCdefghij123 key=zyxwvuts abcdefgh1234 "
        "/usr/bin a https://eve:pass@host/x",
        variables,
        home,
    )
    for secret in ("alice", "bob", "carol", "dave", "hf_ABC", "zyxwvuts", "abcdefgh1234", "eve:pass"):
        assert secret not in shown, secret
    assert "~/shots" in shown
    assert "/usr/bin a https://" in shown


def test_it_works_before_anything_was_done(bpy: ModuleType, addon: ModuleType, tmp_path: Path) -> None:
    bpy.context.preferences.addons["vggt_matchmove"].preferences.interpreter = str(tmp_path / "missing")
    text = addon.operators.diagnostics.diagnostics(bpy.context)
    assert "is not a program" in text
    assert "not checked" in text
    assert bpy.ops.vggt.copy_diagnostics() == {"FINISHED"}
