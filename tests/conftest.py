"""Slow tests run last, so that a mistake shows early; programs that tests start, and a folder for what they leave; what
set-up and downloads need: wheels, and a small hub; and what every result must keep to, wherever it is written."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

# Threads of torch and of NumPy's OpenBLAS spin while they wait for each other. Where other programs want the processors
# too, most of that is lost: drawing a scene took forty times as long on a busy machine, a pan twice the processor time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # too small here for more

import cv2  # noqa: F401  before pycolmap, whose copy of the same libraries otherwise corrupts the heap
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PATIENCE_S = 300.0  # nothing takes so long, not on a slow machine under load either: it hangs


def pytest_configure() -> None:
    """What Blender, torch and the programs under test put into the system's folder for temporary files, or leave there
    when they are killed, goes into a folder that ends with the tests; `tmp_path` stays where it is."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="vggt-tests-")
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder))
    tempfile.tempdir = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # before Blender's own, so it runs after that


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


class Programs:
    """Programs that a test starts. One that hangs is killed with all that it started, so that whoever reads from it
    comes to the end, and the test fails with what it had read. What is left ends with the test."""

    def __init__(self) -> None:
        self._watched: list[tuple[subprocess.Popen[str], threading.Timer]] = []
        self._hung: list[str] = []

    def start(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:
        """With pipes and text, unless `options` of `subprocess.Popen` say otherwise; in a session of its own."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, **{**pipes, "start_new_session": True, **options})
        timer = threading.Timer(PATIENCE_S, self._give_up, [process])
        timer.daemon = True
        timer.start()
        self._watched.append((process, timer))
        return process

    def run(self, command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        """To its end, with what it said on both streams."""
        process = self.start(command, **{"stdin": None, "stderr": subprocess.PIPE, **options})
        output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def _give_up(self, process: subprocess.Popen[str]) -> None:
        self._hung.append(f"killed after {PATIENCE_S:.0f} s: {process.args}")
        self._kill(process)

    def _kill(self, process: subprocess.Popen[str]) -> None:
        running = process.poll() is None
        for pid in self.family(process.pid) if running else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # what outlived it holds its pipes

    def close(self) -> None:
        for process, timer in self._watched:
            timer.cancel()
            self._kill(process)
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # what it can no longer be told
                        pipe.close()
        assert not self._hung, self._hung

    def children(self, pid: int) -> list[int]:
        found: list[int] = []
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
        return found

    def family(self, pid: int) -> list[int]:
        """The process and, where the system tells, everything below it."""
        return [pid, *(one for child in self.children(pid) for one in self.family(child))]

    def is_alive(self, pid: int) -> bool:
        """Whether `pid` runs; a zombie does not."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """An assertion where it does not come true."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.01)

    def wait_until_gone(self, *pids: int) -> None:
        self.wait_until(lambda: not any(self.is_alive(pid) for pid in pids))


@pytest.fixture
def programs() -> Iterator[Programs]:
    made = Programs()
    yield made
    made.close()


def repeated(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """One picture of noise, `size` (height, width), under `count` names."""
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.random.default_rng(1).integers(0, 255, (*size, 3), np.uint8)).save(folder / "0.jpg")
    for number in range(1, count):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    return folder


@pytest.fixture(scope="session")
def many_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that takes a good while to look through. Read only."""
    return repeated(tmp_path_factory.mktemp("many"), 5000, (1500, 2000))


@pytest.fixture(scope="session")
def slow_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is looked through quickly, but not for features. Read only."""
    return repeated(tmp_path_factory.mktemp("slow"), 60, (480, 640))


@pytest.fixture
def cameras_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engine colmap stops short of the depth maps, most of its time, for what is asked of the cameras before them."""
    module = importlib.import_module("vggt_blender.engines.colmap.reconstruct")  # the package's name is a function
    monkeypatch.setattr(module, "write_depth", lambda *_: None)


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
        pytest.skip(f"the set-up of the backend is not tested, as uv's wheel cannot be had here: {problem}")
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
