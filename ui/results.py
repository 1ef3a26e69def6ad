"""The list of results."""

import bpy


class VGGT_UL_results(bpy.types.UIList):
    """One line a reconstruction: its name, frames and residual."""

    def draw_item(
        self,
        _context: bpy.types.Context,
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
        error = f"  {item.residual:.2f} px" if item.residual >= 0 else ""
        figures.label(text=f"{item.registered}/{item.total}{error}", translate=False)
