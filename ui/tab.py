"""Where the add-on's panels stand: one tab in the sidebar of the 3D View."""

import bpy

NARROW_PX = 265  # a sidebar in which two buttons, or a name and its value, do not stand side by side


def is_narrow(context: bpy.types.Context) -> bool:
    """Whether what usually stands side by side is cut in the region that is drawn."""
    return context.region.width < NARROW_PX * context.preferences.system.ui_scale


class Tab:
    """A mix-in for panels of the tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VGGT"


class SubPanel(Tab):
    """A mix-in for panels below the main one, closed until they are wanted."""

    bl_parent_id = "VGGT_PT_shot"
    bl_options = {"DEFAULT_CLOSED"}
