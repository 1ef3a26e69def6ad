"""Downloads against a small hub on this machine: whole, interrupted, damaged, gated, unreachable."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

ROOT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 100_000  # 26 MB, more than one of the client's chunks
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server does, and what it saw."""

    url: str = ""
    content: bytes = CONTENT
    gated: bool = False
    drop_after: int | None = None
    ranges: list[str | None] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)


@pytest.fixture
def hub() -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(send_body=False)

        def do_GET(self) -> None:
            self.answer(send_body=True)

        def answer(self, *, send_body: bool) -> None:
            state.paths.add(self.path)
            if state.gated:
                self.refuse(403, "GatedRepo")
            elif send_body and state.ranges and state.drop_after is not None:
                self.refuse(503, "Down")
            else:
                self.serve(send_body=send_body)

        def serve(self, *, send_body: bool) -> None:
            requested = self.headers.get("Range")
            start = int(requested.removeprefix("bytes=").split("-")[0]) if requested else 0
            body = state.content[start:]
            self.send_response(206 if requested else 200)
            self.send_header("ETag", f'"{hashlib.sha256(state.content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Accept-Ranges", "bytes")
            if requested:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            self.end_headers()
            if send_body:
                state.ranges.append(requested)
                if state.drop_after is not None:
                    body = body[: state.drop_after]
                self.wfile.write(body)
                if state.drop_after is not None:
                    self.close_connection = True

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


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


def download(url: str, home: Path, **environment: str) -> dict:
    variables = {
        "PATH": "",
        "HF_HOME": str(home),
        "HF_ENDPOINT": url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "2",
        **environment,
    }
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT), COMMIT],
        env=variables,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_download_reports_verifies_and_is_found_again(hub: Hub, tmp_path: Path) -> None:
    result = download(hub.url, tmp_path)
    assert result == {"same": True, "cached": True, "stages": ["download", "verify"]}
    assert hub.paths == {f"/facebook/VGGT-1B/resolve/{COMMIT}/model.safetensors"}
    asked = len(hub.ranges)
    assert download(hub.url, tmp_path)["same"] is True
    assert len(hub.ranges) == asked, "a model that is here is not fetched again"


def test_interrupted_download_resumes(hub: Hub, tmp_path: Path) -> None:
    hub.drop_after = 15_000_000
    first = download(hub.url, tmp_path)
    assert first["cached"] is False
    assert first["code"] in ("hub", "offline")
    hub.drop_after = None
    hub.ranges.clear()
    assert download(hub.url, tmp_path)["same"] is True
    assert hub.ranges[0] is not None, "the second try starts where the first one stopped"
    assert not hub.ranges[0].startswith("bytes=0-")


def test_file_that_is_not_the_published_one_is_removed(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[:-1] + b"!"
    result = download(hub.url, tmp_path)
    assert result["code"] == "broken"
    assert result["cached"] is False


def test_gated_model_names_the_page_and_the_login(hub: Hub, tmp_path: Path) -> None:
    hub.gated = True
    result = download(hub.url, tmp_path)
    assert result["code"] == "gated"
    assert "huggingface.co/facebook/VGGT-1B" in result["message"]
    assert "HF_TOKEN" in result["message"]


@pytest.mark.parametrize("environment", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_unreachable_hub_is_one_clear_line(tmp_path: Path, environment: dict[str, str]) -> None:
    result = download("http://127.0.0.1:9", tmp_path, **environment)
    assert result["code"] == "offline"
    assert "\n" not in result["message"]
