"""How well the shot was solved: a graph, the frames to look at, and what to try."""

import bpy
import bpy.utils.previews
from bpy.app.translations import pgettext_iface as iface_

from ..operators.go_to_frame import shot_quality
from ..vggt_blender.scene.quality import BadFrame, Quality, advice, bad_frames
from ..vggt_blender.scene.quality_graph import SIZE, highest_residual, quality_graph
from .tab import SubPanel
from .text import draw_wrapped

LISTED = 8
ICONS = {"missing": "CANCEL", "residual": "ERROR", "points": "OUTLINER_OB_POINTCLOUD"}

_graphs: dict[str, bpy.utils.previews.ImagePreviewCollection] = {}


class VGGT_PT_quality(SubPanel, bpy.types.Panel):
    """The error by frame, and the frames that stand out."""

    bl_label = "Quality"
    bl_order = 2

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return shot_quality(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        shot, quality = shot_quality(context)
        width = context.region.width
        layout.label(text=shot.name, icon="OUTLINER_COLLECTION", translate=False)
        share = quality.registered / max(1, len(quality.frames))
        placed = iface_("{} of {} frames placed").format(quality.registered, len(quality.frames))
        layout.progress(factor=share, type="BAR", text=placed, translate=False)
        if quality.residual_px is None:
            draw_wrapped(layout, "This engine measures no error.", width, icon="INFO")
        else:
            _draw_graph(layout, quality, width)
        if quality.jitter_deg is not None:
            smoothed = iface_("Smoothed: jitter {:.4f}° to {:.4f}°").format(*quality.jitter_deg)
            layout.label(text=smoothed, icon="SMOOTHCURVE", translate=False)
        for line in advice(quality):
            draw_wrapped(layout.box(), line, width - 20, icon="INFO")
        _draw_bad_frames(layout, bad_frames(quality))
        layout.operator("vggt.solve_again", icon="FILE_REFRESH")
        _draw_hand_tracks(layout, quality)


def _draw_graph(layout: bpy.types.UILayout, quality: Quality, width: int) -> None:
    column = layout.column(align=True)
    ends = column.row()
    ends.label(text=iface_("Error {:.2f} px").format(quality.residual_px), translate=False)
    right = ends.row()
    right.alignment = "RIGHT"
    right.label(text=iface_("up to {:.2f} px").format(highest_residual(quality)), translate=False)
    unit = 20 * bpy.context.preferences.system.ui_scale
    column.template_icon(icon_value=_graph(quality), scale=max(4.0, min(12.0, (width - 50) / unit)))
    ends = column.split(factor=0.4)  # the frames' numbers are the shorter text
    numbers = [frame.frame for frame in quality.frames]
    ends.label(text=f"{numbers[0]}–{numbers[-1]}", translate=False)
    counts = [frame.points for frame in quality.frames if frame.points is not None]
    right = ends.row()
    right.alignment = "RIGHT"
    right.label(text=iface_("up to {} points").format(max(counts)) if counts else "", translate=False)


def _graph(quality: Quality) -> int:
    """The icon of the graph, drawn where it is not there yet."""
    graphs = _graphs["graphs"]
    name = str(hash(quality))
    if name not in graphs:
        if len(graphs) > 8:
            graphs.clear()
        preview = graphs.new(name)
        preview.image_size = (SIZE, SIZE)
        preview.image_pixels_float = quality_graph(quality).ravel()
    return graphs[name].icon_id


def _draw_bad_frames(layout: bpy.types.UILayout, bad: list[BadFrame]) -> None:
    if not bad:
        layout.label(text="No frame stands out", icon="CHECKMARK")
        return
    row = layout.row(align=True)
    row.label(text=iface_("{} to look at").format(len(bad)), translate=False)
    row.operator("vggt.next_bad_frame", text="", icon="TRIA_LEFT").back = True
    row.operator("vggt.next_bad_frame", text="", icon="TRIA_RIGHT")
    column = layout.column(align=True)
    for entry in bad[:LISTED]:
        frame = entry.quality
        text = {
            "missing": iface_("{}: not placed").format(frame.frame),
            "residual": f"{frame.frame}: {frame.residual_px or 0.0:.2f} px",
            "points": iface_("{}: {} points").format(frame.frame, frame.points),
        }[entry.why]
        button = column.operator("vggt.go_to_frame", text=text, icon=ICONS[entry.why], translate=False)
        button.frame_name = frame.name
    if len(bad) > LISTED:
        column.label(text=iface_("and {} more").format(len(bad) - LISTED), translate=False)


def _draw_hand_tracks(layout: bpy.types.UILayout, quality: Quality) -> None:
    if not quality.hand_tracks:
        return
    layout.label(text="Hand Tracks")
    column = layout.column(align=True)
    worst_first = sorted(quality.hand_tracks, key=lambda track: (track.fits, -track.residual_px))
    for track in worst_first[:LISTED]:
        apart = "" if track.distance_m is None else f", {_length(track.distance_m)}"
        icon = "CHECKMARK" if track.fits else "ERROR"
        column.label(text=f"{track.name}: {track.residual_px:.2f} px{apart}", icon=icon, translate=False)
    if len(worst_first) > LISTED:
        column.label(text=iface_("and {} more").format(len(worst_first) - LISTED), translate=False)


def _length(meters: float) -> str:
    return f"{1000 * meters:.1f} mm" if meters < 0.1 else f"{meters:.2f} m"


def register() -> None:
    _graphs["graphs"] = bpy.utils.previews.new()


def unregister() -> None:
    bpy.utils.previews.remove(_graphs.pop("graphs"))
