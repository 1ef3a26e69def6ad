"""Standard input has one reader, and libraries and children do not come to wait behind it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, subprocess, sys, threading
from vggt_blender.exchange.standard_input import take_standard_input

own, lines, came = take_standard_input(), [], threading.Event()

def read():
    for line in own:
        lines.append(line)
        came.set()

reader = threading.Thread(target=read)
reader.start()
came.wait()  # and the reader waits for more
child = subprocess.run([sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"], capture_output=True)
print(child.stdout.decode().strip(), repr(sys.stdin.read()), repr(os.read(0, 10)), flush=True)
reader.join()
print(lines)
"""


def test_only_its_owner_reads_it(programs: Any) -> None:
    process = programs.start([sys.executable, "-c", PROGRAM], cwd=ROOT, bufsize=1)
    process.stdin.write("first\n")
    assert process.stdout.readline() == "0 '' b''\n"
    process.stdin.write("second\n")
    process.stdin.close()
    assert process.stdout.read() == "[b'first\\n', b'second\\n']\n"
