"""Where the backend's Python is, and the environment its process gets.

This module may import the standard library and exchange only. `python -m vggt_blender.backend.environment` records the
interpreter that runs it, so that the installed add-on finds the environment that `make` made.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..exchange.messages import JobError
from ..exchange.paths import exists, user_path

VARIABLE = "VGGT_BACKEND_PYTHON"
NO_BACKEND = "no_backend"
# Blender points these at its own Python; another interpreter would load the wrong standard library.
_PYTHON_VARIABLES = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONEXECUTABLE",
    "PYTHONSAFEPATH",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
)


def find_interpreter(root: Path, chosen: str = "", set_up: Path | None = None) -> Path:
    """The backend's Python: `chosen` by the user, else `VGGT_BACKEND_PYTHON`, else `set_up`, else what `make` made.

    `root` is the extension's folder, `set_up` where the add-on's own set-up puts its interpreter. A choice that does
    not exist is an error rather than a reason to look elsewhere. Raises `JobError` with code ``no_backend`` and what to
    do.
    """
    for choice, where in ((chosen, "the preferences"), (os.environ.get(VARIABLE, ""), f"the variable {VARIABLE}")):
        if choice:
            path = user_path(choice)
            if not _is_program(path):
                raise JobError(NO_BACKEND, f"The backend's Python in {where} is not a program: '{path}'.")
            return path.absolute()
    for prepared in (set_up, interpreter_in(root.resolve() / ".venv"), _recorded()):
        if prepared is not None and _is_program(prepared):
            return prepared
    raise JobError(NO_BACKEND, "Backend not set up: set it up or choose its Python in the add-on's preferences.")


def interpreter_in(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def record_path() -> Path:
    """The file that holds the path of the interpreter that `make` prepared last."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return base / "vggt_matchmove" / "interpreter.txt"


def record_interpreter(interpreter: Path) -> Path:
    """Remember `interpreter` for add-ons installed on this machine; returns the file written."""
    record = record_path()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(f"{interpreter}\n", encoding="utf-8")
    return record


def process_environment(root: Path) -> dict[str, str]:
    """The variables for the backend's process: this one's, without Blender's Python, with `root` to import from."""
    variables = {name: value for name, value in os.environ.items() if name not in _PYTHON_VARIABLES}
    return variables | {"PYTHONPATH": str(root), "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def _recorded() -> Path | None:
    try:
        text = record_path().read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return Path(text) if text else None


def _is_program(path: Path) -> bool:
    return exists(path) and path.is_file() and os.access(path, os.X_OK)


if __name__ == "__main__":
    try:
        record_interpreter(Path(sys.executable))
    except OSError as failure:  # a home that cannot be written: the add-on's preference does the same
        print(f"Not recorded for the add-on ({failure}).", file=sys.stderr)
