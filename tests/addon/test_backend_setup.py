"""Setting the backend up from inside Blender: offline, with the real installer, through the operators."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PATIENCE_S = 300.0


@pytest.fixture
def chosen(bpy: ModuleType, addon: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """The preferences, with a folder for the backend and no other backend to be found."""
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("VGGT_BACKEND_PYTHON", raising=False)
    preferences = bpy.context.preferences.addons["vggt_matchmove"].preferences
    preferences.interpreter = ""
    preferences.backend_folder = str(tmp_path / "backend")
    return preferences


def test_set_up_find_and_remove(bpy: ModuleType, addon: ModuleType, chosen: object, wheels: Path) -> None:
    chosen.wheels_folder = str(wheels)
    before = sorted(path.name for path in Path(sys.prefix).rglob("*.dist-info"))
    assert not bpy.ops.vggt.remove_backend.poll()
    assert bpy.ops.vggt.setup_backend(with_vggt=False) == {"FINISHED"}
    found = addon.operators.locations.interpreter(bpy.context)
    assert found.is_relative_to(chosen.backend_folder)
    installed = {path.name.split("-")[0] for path in Path(chosen.backend_folder, "environment").rglob("*.dist-info")}
    assert {"numpy", "pycolmap"} <= installed
    assert "torch" not in installed
    assert sorted(path.name for path in Path(sys.prefix).rglob("*.dist-info")) == before

    assert bpy.ops.vggt.remove_backend() == {"FINISHED"}
    assert not Path(chosen.backend_folder).exists()


def test_failure_is_one_line_with_details_and_a_second_try_works(
    bpy: ModuleType, addon: ModuleType, chosen: object, wheels: Path
) -> None:
    chosen.wheels_folder = str(wheels)
    [missing] = wheels.glob("trimesh-*")
    kept = missing.rename(wheels.parent / missing.name)
    with pytest.raises(RuntimeError, match="trimesh"):
        bpy.ops.vggt.setup_backend(with_vggt=False)
    notice = addon.operators.session.session.notice
    assert notice.failed
    assert notice.about_setup
    assert "\n" not in notice.message
    assert notice.detail
    kept.rename(missing)
    assert bpy.ops.vggt.setup_backend(with_vggt=False) == {"FINISHED"}
    assert addon.operators.session.session.notice is None


def test_cancel_ends_the_installer_and_says_so(
    bpy: ModuleType, addon: ModuleType, chosen: object, wheels: Path
) -> None:
    """Started as a window does, without waiting. The next try works."""
    chosen.wheels_folder = str(wheels)
    setup = addon.operators.backend_setup.setup
    setup.start([chosen.backend_folder, "--find-links", str(wheels)])
    assert not bpy.ops.vggt.setup_backend.poll()
    assert not bpy.ops.vggt.check_backend.poll()
    step_until(setup, lambda: setup.stage != "Starting")
    assert bpy.ops.vggt.cancel_setup() == {"FINISHED"}
    assert not bpy.ops.vggt.cancel_setup.poll()
    step_until(setup, lambda: not setup.running)
    notice = addon.operators.session.session.notice
    assert (notice.message, notice.failed) == ("Cancelled.", False)
    assert not Path(chosen.backend_folder, "environment").exists()
    assert bpy.ops.vggt.setup_backend(with_vggt=False) == {"FINISHED"}


def step_until(setup: object, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, setup.stage
        setup.step(wait_s=0.05)


def test_no_network_without_permission(bpy: ModuleType, chosen: object, tmp_path: Path) -> None:
    assert not bpy.app.online_access
    assert not bpy.ops.vggt.setup_backend.poll()
    with pytest.raises(RuntimeError, match="Preferences > System > Network"):
        bpy.ops.vggt.setup_backend()
    assert not Path(chosen.backend_folder).exists()
    bpy.context.preferences.system.use_online_access = True
    assert bpy.app.online_access
    assert bpy.ops.vggt.setup_backend.poll()
    bpy.context.preferences.system.use_online_access = False
    chosen.wheels_folder = str(tmp_path)
    assert bpy.ops.vggt.setup_backend.poll()


def test_somebody_elses_folder_is_refused_and_never_removed(bpy: ModuleType, chosen: object, wheels: Path) -> None:
    folder = Path(chosen.backend_folder)
    folder.mkdir()
    (folder / "work.txt").write_text("mine")
    chosen.wheels_folder = str(wheels)
    with pytest.raises(RuntimeError, match="already holds other files"):
        bpy.ops.vggt.setup_backend()
    assert not bpy.ops.vggt.remove_backend.poll()
    assert [path.name for path in folder.iterdir()] == ["work.txt"]


def test_redraws_do_not_look_at_the_disk_every_time(
    bpy: ModuleType, addon: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locations = addon.operators.locations
    looks = []

    def counted(*places: object) -> Path:
        looks.append(places)
        return find_interpreter(*places)

    find_interpreter = locations.find_interpreter
    monkeypatch.setattr(locations, "find_interpreter", counted)
    monkeypatch.setattr(locations, "SEEN_S", 1e6)
    bpy.context.scene.vggt.source = str(tmp_path)
    for _ in range(5):
        assert bpy.ops.vggt.solve.poll()
    assert len(looks) == 1
    preferences, there = locations.preferences(bpy.context), tmp_path / "python"
    preferences.interpreter = str(there)
    for _ in range(5):
        assert not bpy.ops.vggt.solve.poll()
    assert len(looks) == 2
    there.write_text("")
    there.chmod(0o755)
    locations.look_again()
    assert bpy.ops.vggt.solve.poll()
    assert len(looks) == 3
    locations.look_again()
