"""A child process of the backend's Python whose pipes are served by threads, so that its owner never waits for it.

This module may import the standard library and exchange only.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from ..exchange.messages import JobError
from .environment import NO_BACKEND, process_environment

STDERR_LINES = 200
CHUNK_BYTES = 65536
# How long a dead process's output may still be on its way: a grandchild can hold the pipe open for ever.
DRAIN_S = 1.0
if sys.platform == "win32":
    _CREATION_FLAGS = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _CREATION_FLAGS = 0


class BackendProcess:
    """`interpreter ARGUMENTS`, started in the extension's folder `root`.

    It gets the variables of `process_environment` unless others are given, and each line of its standard error goes to
    `on_error` too. `next_line` and `send` return at once. Raises `JobError` with code ``no_backend`` where the
    interpreter does not start. On POSIX the process leads a group of its own, which `close` ends as a whole.
    """

    def __init__(
        self,
        interpreter: Path,
        root: Path,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        on_error: Callable[[str], None] | None = None,
    ) -> None:
        try:
            self._process = subprocess.Popen(
                [str(interpreter), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=root,
                env=process_environment(root) if environment is None else environment,
                start_new_session=sys.platform != "win32",
                creationflags=_CREATION_FLAGS,
            )
        except (OSError, ValueError) as failure:
            reason = getattr(failure, "strerror", None) or failure
            raise JobError(NO_BACKEND, f"The backend's Python '{interpreter}' does not start: {reason}.") from None
        self._chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._lines: deque[bytes] = deque()
        self._partial = b""
        self._outgoing: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: deque[str] = deque(maxlen=STDERR_LINES)
        self._exit_seen: float | None = None
        self._on_error = on_error
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        self._readers = [
            _thread(_read_chunks, stdout, self._chunks.put),
            _thread(_read_lines, stderr, self._note_error),
        ]
        _thread(_write, stdin, self._outgoing)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative: the signal that ended it (POSIX)."""
        return self._process.poll()

    @property
    def errors(self) -> str:
        """The last lines of its standard error."""
        return "".join(tuple(self._errors))

    def send(self, line: str) -> None:
        """Queue `line` for its standard input; dropped silently where the process is gone."""
        self._outgoing.put(line)

    def end_input(self) -> None:
        """Close its standard input after what is queued."""
        self._outgoing.put(None)

    def next_line(self, timeout_s: float = 0.0) -> str | None:
        """The next line of its standard output, or None where none comes within `timeout_s`."""
        while not self._lines:
            try:
                self._split(self._chunks.get(block=timeout_s > 0, timeout=timeout_s or None))
            except queue.Empty:
                return None
        return self._lines.popleft().decode("utf-8", "replace")

    def is_over(self) -> bool:
        """Whether it has ended and all it printed can be had from `next_line` (which the caller has emptied)."""
        if self._process.poll() is None:
            return False
        if self._exit_seen is None:
            self._exit_seen = time.monotonic()
        drained = not any(reader.is_alive() for reader in self._readers)
        return (drained or time.monotonic() - self._exit_seen > DRAIN_S) and self._chunks.empty() and not self._lines

    def close(self, grace_s: float = 1.0) -> None:
        """End it: by the end of its input, after `grace_s` by force, its children included.

        Waits `grace_s` + 1 s at the longest.
        """
        self.end_input()
        self._wait(grace_s)
        self.kill()
        self._wait(1.0)

    def kill(self) -> None:
        """End it and its children by force, without waiting."""
        self.end_input()  # the thread that writes it ends too
        if sys.platform == "win32":
            if self._process.poll() is None:
                subprocess.run(
                    ["taskkill", "/T", "/F", "/PID", str(self.pid)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=False,
                    creationflags=subprocess.CREATE_NO_WINDOW,
                )
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _split(self, chunk: bytes) -> None:
        *lines, rest = (self._partial + chunk).split(b"\n")
        self._lines.extend(line + b"\n" for line in lines)
        self._partial = rest

    def _note_error(self, line: str) -> None:
        self._errors.append(line)
        if self._on_error is not None:
            self._on_error(line)

    def _wait(self, timeout_s: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)


def _thread(target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, name="vggt-backend", daemon=True)
    thread.start()
    return thread


def _read_chunks(pipe: IO[bytes], put: Callable[[bytes], None]) -> None:
    """Whole chunks: a thread that worked line by line would keep the interpreter from the main thread in a flood."""
    with contextlib.suppress(OSError, ValueError), pipe:
        while chunk := os.read(pipe.fileno(), CHUNK_BYTES):
            put(chunk)


def _read_lines(pipe: IO[bytes], put: Callable[[str], None]) -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        for line in pipe:
            put(line.decode("utf-8", "replace"))


def _write(pipe: IO[bytes], lines: queue.SimpleQueue[str | None]) -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        while (line := lines.get()) is not None:
            pipe.write(line.encode("utf-8"))
            pipe.flush()
