"""What to write of a finished reconstruction, for which program and in which world: the request for an export.

This module may import the standard library only.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from .messages import JobError

Rows = tuple[tuple[float, ...], ...]

_KINDS = {"folder": str, "to": str, "output": str, "id": str, "overwrite": bool, "place": (list, type(None))}


@dataclass(frozen=True)
class Export:
    """One export of the reconstruction in `folder`.

    ``to`` is a format of the command line's ``export``. ``place`` are the rows of a (3, 4) matrix, scale times rotation
    and then the translation, in OpenCV's axes: it carries the solve's own world to the one that is written, as an
    artist's alignment does; None leaves it as it is.
    """

    TYPE: ClassVar[str] = "export"

    folder: str
    to: str
    output: str
    id: str = "export"
    place: Rows | None = None
    overwrite: bool = False

    @property
    def staged_in(self) -> Path:
        """The folder in which unfinished work lies."""
        return Path(self.output).parent

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Export:
        """Raises `JobError` for unknown, missing or mistyped entries."""
        unknown = sorted(set(values) - set(_KINDS))
        if unknown:
            raise JobError("usage", f"An export has no entry {', '.join(unknown)}.")
        for name, value in values.items():
            if not isinstance(value, _KINDS[name]):  # type: ignore[arg-type]
                raise JobError("usage", f"The export's entry '{name}' has an unusable value: {value!r}.")
        missing = [name for name in ("folder", "to", "output") if not values.get(name)]
        if missing:
            raise JobError("usage", f"An export needs {', '.join(missing)}.")
        return cls(**{**values, "place": _rows(values.get("place"))})


def _rows(value: list[Any] | None) -> Rows | None:
    if value is None:
        return None
    try:
        rows = tuple(tuple(float(number) for number in row) for row in value)
    except (TypeError, ValueError):
        rows = ()
    if [len(row) for row in rows] != [4, 4, 4] or not all(math.isfinite(number) for row in rows for number in row):
        raise JobError("usage", "The export's 'place' is a matrix of three rows with four numbers.")
    return rows
