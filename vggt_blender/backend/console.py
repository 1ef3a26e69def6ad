"""A job's messages for somebody who watches a terminal: one progress line that is rewritten, plain lines for the rest.

This module may import the standard library and exchange only.
"""

from __future__ import annotations

import shutil
from typing import TextIO

from ..exchange.messages import Message

BAR_WIDTH = 24


class ConsoleView:
    """Prints messages to `stream`. Where that is no terminal, a stage prints its start and its end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rewrites = stream.isatty()
        self._open_line = False
        self._stage = ""

    def show(self, message: Message) -> None:
        kind = message["type"]
        if kind == "progress":
            self._progress(message)
        elif kind == "status":
            self._line(message["message"])
        elif kind == "warning":
            self._line(f"Warning: {message['message']}")
        elif kind == "error":
            self._line(f"Error: {message['message']}")

    def close(self) -> None:
        """End a progress line that is still open."""
        if self._open_line:
            self._stream.write("\n")
            self._open_line = False
        self._stream.flush()

    def _progress(self, message: Message) -> None:
        stage, done, total = message["stage"].capitalize(), message["done"], message["total"]
        if self._rewrites:
            if self._open_line and stage != self._stage:
                self._stream.write("\n")
            width = shutil.get_terminal_size().columns
            self._stream.write(f"\r\x1b[K{progress_line(stage, done, total, message['remaining_s'])[: width - 1]}")
            self._open_line = True
        elif stage != self._stage or done >= total:
            self._stream.write(f"{stage}: {done} of {total}\n")
        self._stage = stage
        self._stream.flush()

    def _line(self, text: str) -> None:
        self.close()
        self._stream.write(text + "\n")
        self._stream.flush()


def progress_line(stage: str, done: int, total: int, remaining_s: float | None) -> str:
    """``Stage  ######......  12/24  1:05 left``."""
    share = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
    filled = int(share * BAR_WIDTH)
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    left = "" if remaining_s is None or done >= total else f"  {duration(remaining_s)} left"
    return f"{stage:<24} {bar} {done}/{total}{left}"


def duration(seconds: float) -> str:
    """``1:05``, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
