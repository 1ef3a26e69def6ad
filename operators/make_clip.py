"""The plate as a movie clip, its lens set."""

import bpy

from ..vggt_blender.exchange.undistorted import with_straight_plates
from ..vggt_blender.scene.clip import build_clip
from ..vggt_blender.scene.collection import Holder
from ..vggt_blender.scene.timeline import Timeline
from .shots import NeedsShot, shot_reconstruction


class VGGT_OT_make_clip(NeedsShot, bpy.types.Operator):
    """Load the plate as a movie clip with the solved lens: focal length, sensor, optical center and distortion"""

    bl_idname = "vggt.make_clip"
    bl_label = "Movie Clip"
    needs_footage = True

    def work(self, context: bpy.types.Context, shot: Holder) -> None:
        plates = with_straight_plates(shot_reconstruction(shot))
        clip = build_clip(shot, plates, Timeline.of(plates), context.scene)
        show_clip(context, clip)
        self.report({"INFO"}, f"Clip '{clip.name}' has the solved lens.")


def show_clip(context: bpy.types.Context, clip: bpy.types.MovieClip) -> None:
    """Show `clip` in Clip Editors that show none."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "CLIP_EDITOR" and area.spaces.active.clip is None:
                area.spaces.active.clip = clip
