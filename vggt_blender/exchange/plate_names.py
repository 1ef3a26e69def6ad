"""The number at the end of a plate's name: ``shot_0010.1001.png`` is frame 1001.

This module may import the standard library only.
"""

from __future__ import annotations

import re

NUMBERED = re.compile(r"(?P<name>.*?)(?P<number>\d+)")
"""The stem of any file that may be a frame of a sequence, to be matched in full."""

PLATE = re.compile(r"(?P<name>.+[._])(?P<number>\d{4,})")
"""The stem of one that is taken for such unasked: a photograph's counter looks different."""
