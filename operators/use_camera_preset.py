"""One of Blender's own camera presets as the sensor, and the lens where it has one, of the next solve."""

from __future__ import annotations

import ast
from pathlib import Path

import bpy
from bpy.props import StringProperty

ENTRIES = ("sensor_width", "sensor_height", "lens")
LARGEST = 1_000_000  # bytes; a preset has a few hundred


class VGGT_OT_use_camera_preset(bpy.types.Operator):
    """Take the sensor of this camera, and the focal length where the preset has one. A plate that is cropped from the \
sensor covers less of it"""

    bl_idname = "vggt.use_camera_preset"
    bl_label = "Use Camera Preset"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        values = preset_values(Path(self.filepath))
        sensor = max(values.get("sensor_width", 0.0), values.get("sensor_height", 0.0))
        if sensor <= 0:
            self.report({"ERROR"}, f"'{Path(self.filepath).name}' is no camera preset with a sensor.")
            return {"CANCELLED"}
        known = context.scene.vggt.known
        known.lens, known.sensor_mm = "mm", sensor
        if values.get("lens", 0.0) > 0:
            known.focal_mm = values["lens"]
        return {"FINISHED"}


def preset_values(path: Path) -> dict[str, float]:
    """The `ENTRIES` that a preset's script sets to plain numbers; it is read, never run. Empty where it is none."""
    try:
        if path.stat().st_size > LARGEST:
            return {}
        lines = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError):
        return {}
    values = {}
    for line in lines:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
            target, value = line.targets[0], line.value.value
            if isinstance(target, ast.Attribute) and target.attr in ENTRIES and isinstance(value, int | float):
                values[target.attr] = float(value)
    return values
