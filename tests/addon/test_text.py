"""What people read: times left, and text that a translator can have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
WORD = re.compile(r"[A-Za-z]{3,}")  # px, mm and GB are the same everywhere
SHOWN = {"text", "title", "heading", "confirm_text"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (1.2, "about 5 s"),
        (42.4, "about 40 s"),
        (59.0, "about 60 s"),
        (61.0, "about 1 min"),
        (605.0, "about 10 min"),
    ],
)
def test_a_time_left_is_as_rough_as_it_is_known(addon: ModuleType, seconds: float | None, text: str) -> None:
    assert addon.ui.text.about(seconds) == (f"{text} left" if text else "")


def shown_pieces() -> Iterator[tuple[str, str]]:
    """Where and what, for the constant parts of f-strings that panels and dialogs show: everything of `ui`, and what
    the operators hand to a layout or say about why they are disabled."""
    for room in ("ui", "operators"):
        for path in sorted((ROOT / room).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for piece in ast.walk(node) if room == "ui" else handed_on(node):
                    if isinstance(piece, ast.JoinedStr):
                        for part in piece.values:
                            if isinstance(part, ast.Constant):
                                yield f"{path.relative_to(ROOT)}:{piece.lineno}", str(part.value)


def handed_on(node: ast.AST) -> list[ast.AST]:
    if not isinstance(node, ast.Call):
        return []
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    shown = [keyword.value for keyword in node.keywords if keyword.arg in SHOWN]
    return [*shown, *node.args] if name in ("label", "poll_message_set") else shown


def test_no_text_is_put_together_before_it_is_translated() -> None:
    """Blender looks up the whole text: one with numbers or names in it is never found."""
    pieces = list(shown_pieces())
    assert len(pieces) > 5
    assert [(where, text) for where, text in pieces if WORD.search(text)] == []
