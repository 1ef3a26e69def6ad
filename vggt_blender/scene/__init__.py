"""The Blender scene from a reconstruction: one file per scene noun."""
