"""The depth of a whole shot on one plane."""

from pathlib import Path

import bpy

from ..vggt_blender.delivery.exr import write_exr
from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.scene.collection import Holder
from ..vggt_blender.scene.moving_plane import build_moving_plane, depth_pictures
from ..vggt_blender.scene.timeline import Timeline
from .shots import NeedsShot, shot_reconstruction

FOLDER = "depth_pictures"


class VGGT_OT_add_moving_plane(NeedsShot, bpy.types.Operator):
    """One depth plane that follows the shot, with the plate on it. Writes the depth of each frame beside the result"""

    bl_idname = "vggt.add_moving_plane"
    bl_label = "Moving Depth Plane"
    needs_footage = True

    def work(self, _context: bpy.types.Context, shot: Holder) -> None:
        reconstruction = shot_reconstruction(shot)
        timeline = Timeline.of(reconstruction)
        folder = reconstruction.folder / FOLDER
        written: list[Path] = []
        try:
            folder.mkdir(exist_ok=True)
            for number, channels in depth_pictures(reconstruction, timeline):
                written.append(folder / f"depth.{number:04d}.exr")
                write_exr(written[-1], channels)
        except OSError as failure:
            raise JobError("output", f"Cannot write into '{folder}': {failure.strerror or failure}.") from None
        plane = build_moving_plane(shot, reconstruction, timeline, written[0])
        self.report({"INFO"}, f"'{plane.name}' follows the shot.")
