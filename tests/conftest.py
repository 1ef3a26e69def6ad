"""Slow tests run last, so that a mistake shows early; what set-up and downloads need: wheels, and a small hub; and
what every result must keep to, wherever it is written."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import cv2  # noqa: F401  before pycolmap, whose copy of the same libraries otherwise corrupts the heap
import pytest

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(autouse=True)
def _nothing_mapped_is_moved(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Windows moves no file that is mapped: whoever puts a result in place has let go of its arrays, and of those of
    the result before."""
    if not sys.platform.startswith("linux"):
        yield
        return
    from vggt_blender.exchange import writer

    put_in_place, mapped = writer.put_in_place, []

    def watched(staging: Path, folder: Path) -> None:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        mapped.extend(line for line in lines if line.endswith(".npy") and str(folder) in line)
        put_in_place(staging, folder)

    monkeypatch.setattr(writer, "put_in_place", watched)
    yield
    assert not mapped


@pytest.fixture(scope="session")
def stand_ins() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stand_in_wheels", ROOT / "tests" / "stand_in_wheels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def uv_folder(stand_ins: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uv")
    problem = stand_ins.fetch_uv(folder)
    if problem:
        pytest.skip(f"uv's wheel cannot be had here: {problem}")
    return folder


@pytest.fixture
def wheels(stand_ins: ModuleType, uv_folder: Path, tmp_path: Path) -> Path:
    """A folder with uv and an empty module for every pinned package."""
    folder = shutil.copytree(uv_folder, tmp_path / "wheels")
    stand_ins.write_pinned(folder)
    return folder


@pytest.fixture
def make_wheel(stand_ins: ModuleType) -> Callable[..., None]:
    """Write a wheel of `name` and `version` with `content` into a folder."""
    return stand_ins.write_wheel


@dataclass
class Hub:
    """What the server does, and what it saw. It sends half a file and waits while `goes_on` is not set."""

    url: str = ""
    content: bytes = bytes(range(256)) * 100_000  # 26 MB, more than one of the client's chunks
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    gated: bool = False
    drop_after: int | None = None
    goes_on: threading.Event = field(default_factory=threading.Event)
    ranges: list[str | None] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Hub

    def do_HEAD(self) -> None:
        self.answer(send_body=False)

    def do_GET(self) -> None:
        self.answer(send_body=True)

    def answer(self, *, send_body: bool) -> None:
        self.state.paths.add(self.path)
        if self.state.gated:
            self.refuse(403, "GatedRepo")
        elif send_body and self.state.ranges and self.state.drop_after is not None:
            self.refuse(503, "Down")
        else:
            self.serve(send_body=send_body)

    def serve(self, *, send_body: bool) -> None:
        content = self.state.content
        requested = self.headers.get("Range")
        start = int(requested.removeprefix("bytes=").split("-")[0]) if requested else 0
        self.send_response(206 if requested else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.state.commit)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        if requested:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if send_body:
            self.state.ranges.append(requested)
            self.send_body(content[start:])

    def send_body(self, body: bytes) -> None:
        if self.state.drop_after is not None:
            self.wfile.write(body[: self.state.drop_after])
            self.close_connection = True
            return
        half = len(body) // 2
        try:
            self.wfile.write(body[:half])
            self.state.goes_on.wait()
            self.wfile.write(body[half:])
        except ConnectionError:  # the client has gone
            self.close_connection = True

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A model hub on this machine."""
    state = Hub()
    state.goes_on.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (HubHandler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    state.goes_on.set()
    server.shutdown()
    server.server_close()
    thread.join()
