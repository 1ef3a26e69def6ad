"""What is known of the shot before it is solved."""

import bpy

from .tab import SubPanel, is_narrow


class VGGT_MT_camera_presets(bpy.types.Menu):
    """Blender's own list of cameras."""

    bl_label = "Camera Presets"
    preset_subdir = "camera"
    preset_operator = "vggt.use_camera_preset"
    draw = bpy.types.Menu.draw_preset


class VGGT_PT_lens(SubPanel, bpy.types.Panel):
    """Lens, camera move and scale as the artist knows them."""

    bl_label = "Lens & Shot"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = not is_narrow(context)
        layout.use_property_decorate = False
        known = context.scene.vggt.known
        column = layout.column()
        column.prop(known, "lens")
        for name in {"mm": ("focal_mm",), "fov": ("fov",), "px": ("focal_px",)}.get(known.lens, ()):
            column.prop(known, name)
        if known.lens == "mm":
            sensor = column.row(align=True)
            sensor.prop(known, "sensor_mm")
            sensor.menu("VGGT_MT_camera_presets", text="", icon="PRESET")
        if known.lens != "unknown":
            column.prop(known, "focal_is_start")
        column.prop(known, "use_distortion")
        if known.use_distortion:
            terms = column.column(align=True)
            for index, name in enumerate(("k1", "k2", "p1", "p2", "k3")):
                terms.prop(known, "distortion", index=index, text=name, translate=False)
        column.prop(known, "use_pixel_aspect")
        if known.use_pixel_aspect:
            column.prop(known, "pixel_aspect")
        column = layout.column(heading="Camera")
        column.prop(known, "locked_off")
        column.prop(known, "zooms")
        column = layout.column()
        column.prop(known, "use_distance")
        if known.use_distance:
            numbers = column.column(align=True)
            for name in ("distance_first", "distance_last", "distance"):
                numbers.prop(known, name)
        column = layout.column(heading="Result")
        column.prop(known, "refine")
        column.prop(known, "smooth")
        if known.smooth:
            column.prop(known, "smooth_budget")
