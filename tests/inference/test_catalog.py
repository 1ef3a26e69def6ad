"""Downloads against a small hub on this machine: whole, interrupted, damaged, gated, unreachable."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

ROOT = Path(__file__).parents[2]
PROGRAM = """
import dataclasses, hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from vggt_blender.exchange.messages import JobError
from vggt_blender.inference import catalog

content = bytes(range(256)) * 100_000
catalog.CATALOG["small"] = dataclasses.replace(
    catalog.CATALOG["VGGT-1B"], name="small", revision=sys.argv[2], size=len(content),
    sha256=hashlib.sha256(content).hexdigest(),
)

class Report:
    stages = []
    def progress(self, stage, done, total):
        assert 0 <= done <= total, (stage, done, total)
        self.stages.append(stage)
    def status(self, message): pass
    def warning(self, message): pass

try:
    path = catalog.download("small", Report())
    result = {"same": path.read_bytes() == content}
except JobError as failure:
    result = {"code": failure.code, "message": failure.message}
result["stages"] = sorted(set(Report.stages))
result["cached"] = catalog.cached(catalog.CATALOG["small"]) is not None
print(json.dumps(result))
"""


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def download(programs: Any) -> Callable[..., dict]:
    """Download the small model from a hub into a home, in a process of its own; what came of it."""

    def run(url: str, home: Path, **environment: str) -> dict:
        variables = {
            "PATH": "",
            "HF_HOME": str(home),
            "HF_ENDPOINT": url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_ETAG_TIMEOUT": "2",
            **environment,
        }
        process = programs.run([sys.executable, "-c", PROGRAM, ROOT, COMMIT], env=variables)
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout.splitlines()[-1])

    return run


def test_download_reports_verifies_and_is_found_again(download: Any, hub: Any, tmp_path: Path) -> None:
    result = download(hub.url, tmp_path)
    assert result == {"same": True, "cached": True, "stages": ["download", "verify"]}
    assert hub.paths == {f"/facebook/VGGT-1B/resolve/{COMMIT}/model.safetensors"}
    asked = len(hub.ranges)
    assert download(hub.url, tmp_path)["same"] is True
    assert len(hub.ranges) == asked, "a model that is here is not fetched again"


def test_interrupted_download_resumes(download: Any, hub: Any, tmp_path: Path) -> None:
    hub.drop_after = 15_000_000
    first = download(hub.url, tmp_path)
    assert first["cached"] is False
    assert first["code"] in ("hub", "offline")
    hub.drop_after = None
    hub.ranges.clear()
    assert download(hub.url, tmp_path)["same"] is True
    assert hub.ranges[0] is not None, "the second try starts where the first one stopped"
    assert not hub.ranges[0].startswith("bytes=0-")


def test_file_that_is_not_the_published_one_is_removed(download: Any, hub: Any, tmp_path: Path) -> None:
    hub.content = hub.content[:-1] + b"!"
    result = download(hub.url, tmp_path)
    assert result["code"] == "broken"
    assert result["cached"] is False


def test_gated_model_names_the_page_and_the_login(download: Any, hub: Any, tmp_path: Path) -> None:
    hub.gated = True
    result = download(hub.url, tmp_path)
    assert result["code"] == "gated"
    assert "huggingface.co/facebook/VGGT-1B" in result["message"]
    assert "HF_TOKEN" in result["message"]


@pytest.mark.parametrize("environment", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_unreachable_hub_is_one_clear_line(download: Any, tmp_path: Path, environment: dict[str, str]) -> None:
    result = download("http://127.0.0.1:9", tmp_path, **environment)
    assert result["code"] == "offline"
    assert "\n" not in result["message"]
