"""The shot as a scene to put things into."""

import bpy
from bpy.props import BoolProperty

from ..vggt_blender.exchange.reconstruction import Reconstruction
from ..vggt_blender.exchange.undistorted import with_straight_plates
from ..vggt_blender.scene.alignment import ROOT
from ..vggt_blender.scene.clip import build_clip
from ..vggt_blender.scene.collection import Holder
from ..vggt_blender.scene.compositing import set_up_compositing
from ..vggt_blender.scene.rolling_shutter import ROLLS, readout_of
from ..vggt_blender.scene.timeline import Timeline
from .shots import NeedsShot, shot_reconstruction, shot_size

FLOOR = 8.0  # the shadow catcher's side, in sizes of the shot


class VGGT_OT_set_up_compositing(NeedsShot, bpy.types.Operator):
    """Render over the plate: transparent film, a floor that catches shadows, the plate in the compositor"""

    bl_idname = "vggt.set_up_compositing"
    bl_label = "Set Up Compositing"
    needs_footage = True

    use_cycles: BoolProperty(
        name="Render with Cycles", description="Only Cycles knows floors that catch shadows", default=True
    )

    def work(self, context: bpy.types.Context, shot: Holder) -> None:
        if self.use_cycles:
            context.scene.render.engine = "CYCLES"
        if set_up_shot(context.scene, shot, shot_reconstruction(shot)):
            rolls = ROLLS in shot.collection
            self.report({"INFO"}, f"Renders go over the plate now{', and roll as its shutter did' if rolls else ''}.")
        else:
            self.report({"WARNING"}, "The compositor is in use: connect the new Alpha Over node where you want it.")


def set_up_shot(scene: bpy.types.Scene, shot: Holder, reconstruction: Reconstruction) -> bool:
    """The set-up of `scene` for `reconstruction`, made or brought up to date. Returns whether it is connected.

    Raises `JobError` where the plate is gone.
    """
    plates = with_straight_plates(reconstruction)
    clip = build_clip(shot, plates, Timeline.of(plates), scene)
    frames = [frame for frame in plates.frames if frame.registered]
    size = FLOOR * shot_size(shot) * max(shot.find(ROOT).matrix_world.to_scale())
    return set_up_compositing(scene, shot, clip, frames, size, readout_of(reconstruction.engine))
