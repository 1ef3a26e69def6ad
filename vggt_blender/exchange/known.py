"""What the artist knows of a shot before it is solved: the lens, how the camera moves, a distance on the set.

This module may import the standard library only.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from .messages import JobError

TERMS = 5
"""OpenCV's distortion: k1 k2 p1 p2 k3."""

WIDEST, NARROWEST = 170.0, 0.5
"""Degrees of a field of view that are believed."""

LARGEST_TERM = 10.0

MOST_OBLONG = 5.0
"""A pixel's longer side over its shorter one that is believed."""

_FOCALS = ("focal_px", "focal_mm", "fov")


@dataclass(frozen=True)
class Distance:
    """``meters`` between the cameras of two frames, named by their number (as in ``--frames``) or their file."""

    first: str
    second: str
    meters: float


@dataclass(frozen=True)
class Known:
    """What is certain about a shot; None or False where nothing is.

    The focal length is one of ``focal_px`` (pixels of the source, fx), ``focal_mm`` with ``sensor_mm`` (the sensor
    along the picture's longer side), or ``fov`` (degrees across the picture's width). It is held, unless
    ``focal_is_start`` says that it is a guess to begin with. ``distortion`` is OpenCV's (k1, k2, p1, p2, k3) and held.
    ``locked_off``: the camera only turns; ``zooms``: every frame has a focal length of its own. ``distance`` makes the
    scene's unit metres. ``pixel_aspect`` is a pixel's width over its height, fy / fx (None: as the file states it, else
    square): 2 for an anamorphic lens that squeezes 2:1, whose mm are those engraved on it and of the sensor as built.
    """

    focal_px: float | None = None
    focal_mm: float | None = None
    sensor_mm: float | None = None
    fov: float | None = None
    focal_is_start: bool = False
    distortion: tuple[float, ...] | None = None
    locked_off: bool = False
    zooms: bool = False
    distance: Distance | None = None
    pixel_aspect: float | None = None

    def __post_init__(self) -> None:
        self._check_focal()
        if self.distortion is not None:
            terms = tuple(float(term) for term in self.distortion)
            if len(terms) not in (2, 4, 5) or not all(abs(term) <= LARGEST_TERM for term in terms):
                raise JobError("usage", "Distortion is K1 K2, K1 K2 P1 P2 or K1 K2 P1 P2 K3, as OpenCV defines them.")
            object.__setattr__(self, "distortion", terms + (0.0,) * (TERMS - len(terms)))
        if self.pixel_aspect is not None and not 1 / MOST_OBLONG <= self.pixel_aspect <= MOST_OBLONG:
            raise JobError(
                "usage",
                f"A pixel aspect is width over height, 2 for a 2:1 anamorphic plate, not {self.pixel_aspect:g}.",
            )
        if self.distance is not None:
            _check_positive("The distance in metres", self.distance.meters)
            if self.distance.first == self.distance.second:
                raise JobError("usage", "A distance is measured between the cameras of two different frames.")
            if self.locked_off:
                raise JobError("usage", "A locked-off camera stays where it is: leave the distance out.")

    def _check_focal(self) -> None:
        given = [name for name in _FOCALS if getattr(self, name) is not None]
        if len(given) > 1:
            raise JobError("usage", "Give the focal length once: in pixels, in mm with the sensor, or as an angle.")
        if (self.focal_mm is None) != (self.sensor_mm is None):
            raise JobError(
                "usage",
                "A focal length in mm needs the sensor's size in mm beside it (full frame: 36), and vice versa.",
            )
        for name, value in (("focal length", self.focal_px), ("focal length", self.focal_mm)):
            if value is not None:
                _check_positive(f"The {name}", value)
        fov = self.fov
        if self.focal_mm is not None and self.sensor_mm is not None:
            _check_positive("The sensor's size", self.sensor_mm)
            fov = 2 * math.degrees(math.atan(self.sensor_mm / self.focal_mm / 2))
        if fov is not None and not NARROWEST <= fov <= WIDEST:
            raise JobError("usage", f"No lens sees {fov:.4g} degrees: check the focal length, sensor or field of view.")
        if self.focal_is_start and not given:
            raise JobError("usage", "There is no focal length to start from: give one.")
        if self.zooms and given and not self.focal_is_start:
            raise JobError("usage", "A lens that zooms has no single focal length: leave it out, or say it is a start.")

    @property
    def holds_focal(self) -> bool:
        """Whether the focal length is given and not to be solved for."""
        return not self.focal_is_start and any(getattr(self, name) is not None for name in _FOCALS)

    def focal_pixels(self, width: int, height: int) -> float | None:
        """The focal length in square pixels of a `width` x `height` picture, or None where nothing says.

        Where the source's pixels are not square, the picture is the one stretched to square ones.
        """
        wide = max(1.0, self.pixel_aspect or 1.0)  # a stored pixel's size in square ones
        high = wide / (self.pixel_aspect or 1.0)
        if self.focal_px is not None:
            return self.focal_px * wide
        if self.focal_mm is not None and self.sensor_mm is not None:
            return self.focal_mm / self.sensor_mm * max(width / wide, height / high) * high
        if self.fov is not None:
            return width / 2 / math.tan(math.radians(self.fov) / 2)
        return None

    def given(self) -> dict[str, Any]:
        """The entries that say something, as plain JSON values; empty where nothing is known."""
        values = dataclasses.asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None and value is not False
        }

    @classmethod
    def from_dict(cls, values: Any) -> Known:
        """Read what `given` wrote. Raises `JobError` for unknown or mistyped entries, and for what cannot be."""
        if not isinstance(values, dict):
            raise JobError("usage", "The job's entry 'known' has to be an object.")
        names = {entry.name for entry in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in names or not _is_valid(name, value):
                raise JobError("usage", f"'known' has an unusable entry: '{name}': {value!r}.")
        arguments = dict(values)
        if values.get("distortion") is not None:
            arguments["distortion"] = tuple(values["distortion"])
        if values.get("distance") is not None:
            arguments["distance"] = Distance(**values["distance"])
        return cls(**arguments)

    @classmethod
    def of_engine(cls, entry: dict[str, Any]) -> Known:
        """What was given for a finished result, from its entry ``engine``; nothing where that is unusable."""
        settings = entry.get("settings")
        try:
            return cls.from_dict(settings.get("known", {}) if isinstance(settings, dict) else {})
        except JobError:
            return cls()


def _check_positive(what: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise JobError("usage", f"{what} has to be a number above 0, not {value:g}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_valid(name: str, value: Any) -> bool:
    if name in ("focal_is_start", "locked_off", "zooms"):
        return isinstance(value, bool)
    if value is None:
        return True
    if name == "distortion":
        return isinstance(value, list) and all(_is_number(term) for term in value)
    if name == "distance":
        return (
            isinstance(value, dict)
            and set(value) == {"first", "second", "meters"}
            and isinstance(value["first"], str)
            and isinstance(value["second"], str)
            and _is_number(value["meters"])
        )
    return _is_number(value)
