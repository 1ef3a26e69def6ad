"""The Blender scene from a reconstruction: one file per scene noun.

May import bpy, mathutils, numpy, `exchange` and `geometry`, nothing else. Everything enters through `build_scene`.
"""

from .build import SceneOptions, SceneResult, build_scene
from .collection import find_collection

__all__ = ["SceneOptions", "SceneResult", "build_scene", "find_collection"]
