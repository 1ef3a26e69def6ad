"""One filter stack for a whole shot: custom properties of its parent empty drive every cloud and plane.

Custom properties need no add-on to work: they travel with the .blend, can be keyed, and show in the object's own tab.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import bpy

from .timeline import LAST_FRAME as END_OF_TIME
from .timeline import Timeline
from .versions import modifier_input_path

CONFIDENCE = "Confidence"
EDGE = "Edge Threshold"
NEAREST = "Nearest"
FARTHEST = "Farthest"
FIRST_FRAME = "First Frame"
LAST_FRAME = "Last Frame"
AGREEMENT = "Agreement"


@dataclass(frozen=True)
class Filter:
    """One input of the node groups. ``kind`` is Blender's socket type; ``limits`` are settings of the socket."""

    name: str
    kind: str
    description: str
    limits: dict[str, Any] = field(default_factory=dict)


FILTERS = (
    Filter(
        CONFIDENCE,
        "Float",
        "Hide this share, the least confident",
        {"default_value": 0.1, "min_value": 0.0, "max_value": 1.0, "subtype": "FACTOR"},
    ),
    Filter(
        EDGE,
        "Float",
        "Hide where the depth jumps by more than this share of it",
        {"default_value": 0.1, "min_value": 0.0, "max_value": 1e6},
    ),
    Filter(
        NEAREST,
        "Float",
        "Hide what is nearer to its camera",
        {"default_value": 0.0, "min_value": 0.0, "max_value": 1e6, "subtype": "DISTANCE"},
    ),
    Filter(
        FARTHEST,
        "Float",
        "Hide what is farther from its camera",
        {"default_value": 1e6, "min_value": 0.0, "max_value": 1e6, "subtype": "DISTANCE"},
    ),
    Filter(
        FIRST_FRAME,
        "Int",
        "Hide what earlier frames saw",
        {"default_value": 0, "min_value": 0, "max_value": END_OF_TIME},
    ),
    Filter(
        LAST_FRAME,
        "Int",
        "Hide what later frames saw",
        {"default_value": END_OF_TIME, "min_value": 0, "max_value": END_OF_TIME},
    ),
    Filter(
        AGREEMENT,
        "Int",
        "Hide what fewer other frames see at the same depth",
        {"default_value": 0, "min_value": 0, "max_value": 8},
    ),
)
SPARSE_FILTERS = tuple(entry for entry in FILTERS if entry.name in (CONFIDENCE, AGREEMENT))


def build_filters(root: bpy.types.Object, timeline: Timeline) -> None:
    """Give `root` the properties that it lacks. A frame range that was not narrowed follows the new `timeline`."""
    ranges = {FIRST_FRAME: timeline.first, LAST_FRAME: timeline.last}
    for entry in FILTERS:
        default = ranges.get(entry.name, entry.limits["default_value"])
        untouched = entry.name not in root or (entry.name in ranges and root[entry.name] == _default(root, entry.name))
        if untouched:
            root[entry.name] = default
        manager = root.id_properties_ui(entry.name)
        limits = {"min": entry.limits["min_value"], "max": entry.limits["max_value"]}
        if "subtype" in entry.limits:
            limits["subtype"] = entry.limits["subtype"]
        manager.update(default=default, description=entry.description, **limits)


def _default(root: bpy.types.Object, name: str) -> Any:
    return root.id_properties_ui(name).as_dict()["default"]


def set_filter(root: bpy.types.Object, name: str, value: float) -> None:
    """Set one of `FILTERS` of the shot below `root`. Raises `KeyError` for another name."""
    kind = next((entry.kind for entry in FILTERS if entry.name == name), None)
    if kind is None:
        raise KeyError(name)
    root[name] = int(value) if kind == "Int" else float(value)
    root.update_tag()


def reset_filters(root: bpy.types.Object) -> None:
    """Show what the import showed."""
    for entry in FILTERS:
        if entry.name in root:
            root[entry.name] = _default(root, entry.name)
    root.update_tag()


def drive_filters(modifier: bpy.types.Modifier, root: bpy.types.Object, filters: Sequence[Filter]) -> None:
    """Have the properties of `root` drive the inputs of `modifier`. No Python expression: it works in every file,
    whether scripts may run in it or not."""
    for entry in filters:
        curve = modifier.id_data.driver_add(modifier_input_path(modifier, entry.name))
        driver = curve.driver
        driver.type = "AVERAGE"
        variable = driver.variables.new()
        variable.name = "value"
        variable.targets[0].id = root
        variable.targets[0].data_path = f'["{entry.name}"]'
