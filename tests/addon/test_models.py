"""The list of models: what is known before a click, downloads, and what stands in an engine's way."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a script cannot stand for an interpreter there")

PATIENCE_S = 300.0
# The real command line with a catalogue of one small model, which the test's own hub has.
PROGRAM = """
import dataclasses, hashlib, sys
from vggt_blender import cli
from vggt_blender.inference import catalog

content = bytes(range(256)) * 100_000
small = dataclasses.replace(
    catalog.CATALOG["VGGT-1B"], name="small", revision="COMMIT", size=len(content),
    sha256=hashlib.sha256(content).hexdigest(),
)
catalog.CATALOG.clear()
catalog.CATALOG["small"] = small
catalog.PREFERENCE = ("small",)
catalog._WEIGHTS /= "nowhere"  # and without the one that comes along
sys.exit(cli.main(sys.argv[3:]))
"""


@pytest.fixture
def chosen(bpy: ModuleType, addon: ModuleType, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backend that knows one small model of the local hub; the folder for downloads."""
    program, python = tmp_path / "program.py", tmp_path / "python"
    program.write_text(PROGRAM.replace("COMMIT", hub.commit))
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')
    python.chmod(0o755)
    variables = {"HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    bpy.context.preferences.addons["vggt_matchmove"].preferences.interpreter = str(python)
    bpy.context.preferences.system.use_online_access = True
    yield tmp_path / "cache"
    bpy.context.preferences.system.use_online_access = False


def step_until(program: object, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, program.stage
        program.step(wait_s=0.05)


def test_what_a_model_costs_is_known_before_the_click(
    bpy: ModuleType, addon: ModuleType, chosen: Path, hub: Any
) -> None:
    models = addon.operators.check.check.models
    assert models() == []
    bpy.ops.vggt.check_backend()
    (row,) = models()
    assert (row["name"], row["size"], row["path"]) == ("small", len(hub.content), None)
    assert "non-commercial" in row["licence"]
    assert row["folder"].startswith(str(chosen))
    assert hub.paths == set()  # listing asks nobody


def test_download_reports_its_progress_and_the_list_knows(
    bpy: ModuleType, addon: ModuleType, chosen: Path, hub: Any
) -> None:
    check, download = addon.operators.check.check, addon.operators.model_download.download
    bpy.ops.vggt.check_backend()
    hub.goes_on.clear()
    download.start(addon.operators.locations.interpreter(bpy.context), "small")
    assert not bpy.ops.vggt.download_model.poll()
    step_until(download, lambda: download.total > 0 and download.done >= 10)
    assert (download.stage, download.total) == ("download", 24)
    hub.goes_on.set()
    step_until(download, lambda: not download.running)
    assert download.failure is None
    deadline = time.monotonic() + PATIENCE_S
    while not check.step() and time.monotonic() < deadline:
        time.sleep(0.02)
    (row,) = check.models()
    assert Path(row["path"]).read_bytes() == hub.content


def test_cancel_ends_it_and_the_next_goes_on(bpy: ModuleType, addon: ModuleType, chosen: Path, hub: Any) -> None:
    download = addon.operators.model_download.download
    hub.goes_on.clear()
    download.start(addon.operators.locations.interpreter(bpy.context), "small")
    step_until(download, lambda: any(file.stat().st_size for file in chosen.rglob("*.incomplete")))
    pid = download._process.pid
    assert bpy.ops.vggt.cancel_download() == {"FINISHED"}
    assert not bpy.ops.vggt.cancel_download.poll()
    step_until(download, lambda: not download.running)
    notice = addon.operators.session.session.notice
    assert (notice.title, notice.message, notice.failed) == ("small", "Cancelled.", False)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    hub.goes_on.set()
    hub.ranges.clear()
    assert bpy.ops.vggt.download_model(model="small") == {"FINISHED"}
    assert hub.ranges[0] is not None, "the second try starts where the first one stopped"


def test_nothing_is_fetched_without_permission(bpy: ModuleType, chosen: Path, hub: Any) -> None:
    bpy.context.preferences.system.use_online_access = False
    assert not bpy.ops.vggt.download_model.poll()
    with pytest.raises(RuntimeError, match="Preferences > System > Network"):
        bpy.ops.vggt.download_model(model="small")
    assert hub.paths == set()


def test_a_failed_download_is_one_line(bpy: ModuleType, addon: ModuleType, chosen: Path, hub: Any) -> None:
    hub.gated = True
    with pytest.raises(RuntimeError, match="HF_TOKEN"):
        bpy.ops.vggt.download_model(model="small")
    notice = addon.operators.session.session.notice
    assert notice.failed
    assert notice.about_setup
    assert "\n" not in notice.message


def test_solve_says_why_before_anybody_tries(bpy: ModuleType, addon: ModuleType, chosen: Path, tmp_path: Path) -> None:
    settings = bpy.context.scene.vggt
    settings.source, settings.engine = "/pictures/solve", "vggt"
    assert bpy.ops.vggt.solve.poll()  # nobody has been asked yet
    bpy.ops.vggt.check_backend()
    problem = addon.operators.solve.obstacle(bpy.context)
    assert problem is not None
    assert "weights" in problem or "torch" in problem
    assert not bpy.ops.vggt.solve.poll()
    settings.engine = "auto"
    assert bpy.ops.vggt.solve.poll()
    settings.engine, settings.model = "vggt", str(tmp_path / "own.safetensors")
    if "torch" not in problem:
        assert bpy.ops.vggt.solve.poll()  # a file of the user's own
    job = addon.operators.solve.job_of(settings, "/out")
    assert job.model == str(tmp_path / "own.safetensors")
    settings.engine = "colmap"
    assert addon.operators.solve.job_of(settings, "/out").model is None


def test_a_backend_without_torch_is_told_for_artists(bpy: ModuleType, addon: ModuleType, chosen: Path) -> None:
    """As `doctor` answers where the set-up left VGGT out."""
    bpy.ops.vggt.check_backend()
    check = addon.operators.check.check
    check.report["engines"]["vggt"] = "The engine 'vggt' needs the library 'torch', which this Python does not have."
    settings = bpy.context.scene.vggt
    settings.source, settings.engine = "/pictures/solve", "vggt"
    assert "set it up again with VGGT" in addon.operators.solve.obstacle(bpy.context)
    assert not bpy.ops.vggt.solve.poll()
    assert not bpy.ops.vggt.download_model.poll()
    check.report["engines"]["vggt"] = None
    assert bpy.ops.vggt.download_model.poll()


def test_a_download_ends_with_the_program_that_started_it(
    chosen: Path, hub: Any, programs: Any, tmp_path: Path
) -> None:
    hub.goes_on.clear()
    root = Path(__file__).parents[2]
    command = [tmp_path / "python", "-m", "vggt_blender", "models", "download", "small", "--messages", "json"]
    variables = {**os.environ, "PYTHONPATH": str(root)}
    process = programs.start([*command, "--end-with-input"], cwd=root, env=variables)
    assert json.loads(process.stdout.readline())["stage"] == "download"
    process.stdin.close()
    last = [json.loads(line) for line in process.stdout][-1]
    assert (last["type"], last["code"], process.wait()) == ("error", "cancelled", 130)
