"""A program that ends with the one that started it.

This module may import the standard library and exchange only.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from io import BufferedReader

from ..exchange.standard_input import take_standard_input


def end_with_input() -> None:
    """From now on, stop this program when its standard input ends: whoever started it is gone.

    Its handler of SIGTERM is called on its main thread, where it can end what it started; on Windows only once the call
    returns in which that thread is.
    """
    threading.Thread(target=_watch, args=(take_standard_input(),), name="parent", daemon=True).start()


def _watch(pipe: BufferedReader) -> None:
    while pipe.read1():
        pass
    if sys.platform == "win32":
        _thread.interrupt_main(signal.SIGTERM)
        return
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    signal.pthread_kill(main_thread, signal.SIGTERM)
