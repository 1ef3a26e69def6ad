"""Shots with known truth: scenes, camera paths and a Cycles renderer. Run ``python -m benchmarks.truth --help``."""

import bpy  # noqa: F401 - bmesh and mathutils can be imported only after it
