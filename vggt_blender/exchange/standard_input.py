"""Standard input, kept from the libraries of a program that a thread of it is reading.

This module may import the standard library only. On Windows whatever looks at a pipe waits for the read on it that is
under way, and a library's start-up may look: that of the Fortran runtime, which OpenBLAS and COLMAP bring along, does.
"""

from __future__ import annotations

import os
import sys
from io import BufferedReader


def take_standard_input() -> BufferedReader:
    """Standard input as a file of one's own; whoever else asks for it, a child included, finds an empty one."""
    own = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    if sys.platform == "win32":
        import ctypes
        import msvcrt

        standard_input = ctypes.c_uint32(-10)
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(sys.stdin.fileno()))
        ctypes.windll.kernel32.SetStdHandle(standard_input, handle)
    return os.fdopen(own, "rb")
