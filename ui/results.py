"""The list of results."""

import bpy

from .tab import is_narrow


class VGGT_UL_results(bpy.types.UIList):
    """One line a reconstruction: its name, frames and residual."""

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        _data: bpy.types.AnyType,
        item: bpy.types.PropertyGroup,
        _icon: int,
        _active_data: bpy.types.AnyType,
        _active_property: str,
    ) -> None:
        row = layout.row(align=True)
        row.label(text=item.name, icon="OUTLINER_OB_CAMERA", translate=False)
        figures = row.row()
        figures.alignment = "RIGHT"
        error = f"  {item.residual:.2f} px" if item.residual >= 0 and not is_narrow(context) else ""
        figures.label(text=f"{item.registered}/{item.total}{error}", translate=False)
