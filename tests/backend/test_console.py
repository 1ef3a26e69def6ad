"""What somebody sees who watches."""

from __future__ import annotations

import io

import pytest

from vggt_blender.backend.console import ConsoleView, duration, progress_line
from vggt_blender.exchange import messages
from vggt_blender.exchange.messages import JobError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(stream: io.StringIO) -> str:
    view = ConsoleView(stream)
    for number in range(1, 4):
        view.show(messages.progress("j", "matching", number, 3, None))
    view.show(messages.warning("j", "one is dark"))
    view.show(messages.progress("j", "Mapping", 1, 2, 75.0))
    view.show(messages.error("j", JobError("failed", "It did not work.")))
    view.close()
    return stream.getvalue()


def test_in_a_file_each_stage_has_two_plain_lines() -> None:
    assert show(io.StringIO()).splitlines() == [
        "Matching: 1 of 3",
        "Matching: 3 of 3",
        "Warning: one is dark",
        "Mapping: 1 of 2",
        "Error: It did not work.",
    ]


def test_in_a_terminal_a_stage_is_one_line_and_others_are_not_glued_to_it() -> None:
    screen = []
    for line in show(Terminal()).split("\n"):
        screen.append(line.rpartition("\x1b[K")[2])  # what is left to see of a line that was rewritten
    assert screen[0].startswith("Matching")
    assert screen[0].endswith("3/3")
    assert screen[1] == "Warning: one is dark"
    assert screen[2].endswith("1/2  1:15 left")
    assert screen[3:] == ["Error: It did not work.", ""]


def test_the_bar_shows_the_share() -> None:
    assert progress_line("S", 0, 4, None).count("#") == 0
    assert progress_line("S", 2, 4, None).count("#") == progress_line("S", 2, 4, None).count(".") == 12
    assert progress_line("S", 9, 4, None).count("#") == 24
    assert "0/0" in progress_line("S", 0, 0, None)


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0:00"), (59.6, "1:00"), (75, "1:15"), (3725, "1:02:05")])
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text
