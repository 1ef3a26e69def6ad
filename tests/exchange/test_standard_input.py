"""Standard input has one reader, and libraries and children do not come to wait behind it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_only_its_owner_reads_it() -> None:
    command = [sys.executable, "-c", PROGRAM]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("first\n")
        assert process.stdout.readline() == "0 '' b''\n"
        process.stdin.write("second\n")
        process.stdin.close()
        assert process.stdout.read() == "[b'first\\n', b'second\\n']\n"
