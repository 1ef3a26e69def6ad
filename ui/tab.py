"""Where the add-on's panels stand: one tab in the sidebar of the 3D View."""


class Tab:
    """A mix-in for panels of the tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "VGGT"


class SubPanel(Tab):
    """A mix-in for panels below the main one, closed until they are wanted."""

    bl_parent_id = "VGGT_PT_shot"
    bl_options = {"DEFAULT_CLOSED"}
