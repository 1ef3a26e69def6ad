"""The places: each module has ``build(seed)``, which fills an empty Blender file."""
