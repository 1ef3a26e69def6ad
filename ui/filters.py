"""The one filter stack of the shot: its numbers drive every cloud and plane."""

import bpy

from ..operators.aligning import current_shot
from ..vggt_blender.scene.alignment import ROOT
from ..vggt_blender.scene.filters import AGREEMENT, CONFIDENCE, EDGE, FARTHEST, FIRST_FRAME, LAST_FRAME, NEAREST
from .tab import SubPanel, is_narrow

SHORT = {EDGE: "Depth Edges"}  # where the name does not fit a narrow sidebar
GROUPS = ((CONFIDENCE, EDGE, AGREEMENT), (NEAREST, FARTHEST), (FIRST_FRAME, LAST_FRAME))


class VGGT_PT_filters(SubPanel, bpy.types.Panel):
    """What the points and planes of the shot show."""

    bl_label = "Filters"
    bl_order = 4

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        shot = current_shot(context)
        return shot is not None and CONFIDENCE in shot.find(ROOT)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        root = current_shot(context).find(ROOT)
        layout.use_property_split = not is_narrow(context)
        for names in GROUPS:
            column = layout.column(align=True)
            for name in names:
                if name in root:
                    column.prop(root, f'["{name}"]', text=SHORT.get(name, name), slider=name == CONFIDENCE)
        layout.operator("vggt.reset_filters", icon="LOOP_BACK")
