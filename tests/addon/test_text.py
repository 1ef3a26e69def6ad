"""Times left, for people."""

from __future__ import annotations

from types import ModuleType

import pytest


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
