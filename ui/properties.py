"""What the add-on keeps in the scene: the settings of the next solve and the list of results."""

import math

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..operators.placement import ASK, PLACEMENTS
from ..operators.pump import ask_backend
from ..operators.sources import fit_range

KINDS = (
    ("auto", "Automatic", "A video file is a video, numbered files of one size are a sequence, all else are stills"),
    ("images", "Stills", "Separate photos, each with a camera of its own"),
    ("sequence", "Image Sequence", "The frames of one shot, numbered as the plate is"),
    ("video", "Video", "One video file"),
)
ENGINES = (
    ("auto", "Automatic", "VGGT where a downloaded model is on this machine, else COLMAP"),
    ("colmap", "COLMAP", "Classical matching: exact, needs texture and parallax, no model and no graphics card"),
    ("vggt", "VGGT", "Neural network: fast, hard to confuse. A small one comes along, larger ones can be downloaded"),
)
DEVICES = (
    ("auto", "Automatic", "The fastest one that works"),
    ("cpu", "CPU", "The processor"),
    ("cuda", "NVIDIA or AMD", "The graphics card"),
    ("mps", "Apple GPU", "The graphics part of an Apple chip"),
)


# From 4.5 a path has to say that it may start with "//".
RELATIVE = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()


def _forget_files(settings: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    settings.files.clear()


def _fit_range(settings: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    if settings.use_range and settings.source:
        fit_range(settings)


def _ask_backend(_settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    ask_backend(context)


class VGGT_PG_file(bpy.types.PropertyGroup):
    """One picked file; its name is all there is to it."""


class VGGT_PG_result(bpy.types.PropertyGroup):
    """A finished reconstruction on disk; its `name` is the shot's."""

    folder: StringProperty(
        name="Folder", description="Where the reconstruction lies", subtype="DIR_PATH", options=RELATIVE
    )
    engine: StringProperty(name="Engine", description="What solved it")
    registered: IntProperty(name="Registered", description="Frames whose camera was found", min=0)
    total: IntProperty(name="Frames", description="Frames that were given", min=0)
    residual: FloatProperty(
        name="Residual",
        description="Distance in pixels between the tracked points and their solved positions, by the solver itself; "
        "below 0: unknown",
        default=-1.0,
    )
    date: StringProperty(name="Date", description="When it was solved")


LENSES = (
    ("unknown", "Unknown", "The pictures tell it"),
    ("mm", "Millimeters", "Focal length and sensor in millimetres, as the camera report has them"),
    ("fov", "Field of View", "The angle across the picture's width"),
    ("px", "Pixels", "Focal length as calibration programs give it, in pixels of the source"),
)


class VGGT_PG_known(bpy.types.PropertyGroup):
    """What the artist knows of the shot."""

    lens: EnumProperty(name="Lens", description="How the focal length is known, and held", items=LENSES)
    focal_mm: FloatProperty(
        name="Focal Length", description="In millimetres", subtype="DISTANCE_CAMERA", min=1, max=10000, default=35
    )
    sensor_mm: FloatProperty(
        name="Sensor",
        description="The part of the sensor that the picture's longer side covers, in millimetres (full frame: 36)",
        subtype="DISTANCE_CAMERA",
        min=1,
        max=1000,
        default=36,
    )
    fov: FloatProperty(
        name="Field of View",
        description="The angle across the picture's width",
        subtype="ANGLE",
        min=math.radians(1),
        max=math.radians(170),
        default=math.radians(54),
    )
    focal_px: FloatProperty(
        name="Focal Length", description="In pixels of the source", subtype="PIXEL", min=10, default=1920
    )
    focal_is_start: BoolProperty(
        name="As a Start Only", description="The focal length is a guess: solve for it, beginning there"
    )
    use_distortion: BoolProperty(name="Distortion", description="The distortion of a lens grid is known, and held")
    distortion: FloatVectorProperty(
        name="Distortion", description="OpenCV's k1, k2, p1, p2 and k3", size=5, precision=5, min=-10, max=10
    )
    zooms: BoolProperty(name="Zooms", description="The focal length changes during the shot")
    locked_off: BoolProperty(
        name="Locked Off", description="The camera only turns, as on a tripod: solved as rotation from one place"
    )
    use_distance: BoolProperty(
        name="Distance", description="The distance between the cameras of two frames is known: the scene is in metres"
    )
    distance_first: IntProperty(
        name="From Frame", description="Counted like the first frame to solve: plate numbers, or from 0", min=0
    )
    distance_last: IntProperty(name="To Frame", description="Counted like the one before", min=0, default=100)
    distance: FloatProperty(name="Metres", description="How far apart the two cameras are", min=1e-4, default=1)
    use_pixel_aspect: BoolProperty(
        name="Pixel Aspect",
        description="The plate's pixels are not square. Off: as the file states it (video, EXR), else square",
    )
    pixel_aspect: FloatProperty(
        name="Ratio",
        description="A pixel's width over its height, as it is seen: 2 for a plate of a 2:1 anamorphic lens. "
        "Focal length and sensor are then those of the lens and the sensor as built",
        min=0.2,
        max=5,
        default=2,
        precision=3,
    )
    smooth: BoolProperty(
        name="Smooth",
        description="Give a shot the smoothest camera path that the pictures allow: noise from frame to frame goes, "
        "a shake that they show stays",
    )
    smooth_budget: FloatProperty(
        name="Budget",
        description="By how many pixels of the plate a frame may slip for it, at the most",
        subtype="PIXEL",
        min=0.01,
        max=10,
        default=0.1,
        precision=2,
    )
    refine: BoolProperty(
        name="Refine",
        description="Adjust a network's cameras to sub-pixel, where held-out tracks agree; COLMAP does so by itself",
        default=True,
    )


class VGGT_PG_settings(bpy.types.PropertyGroup):
    """The settings of the next solve, and the results so far."""

    source: StringProperty(
        name="Source",
        description="A folder of pictures, a video, or the folder of the pictures that were picked",
        subtype="FILE_PATH",
        options=RELATIVE,
        update=_forget_files,
    )
    files: CollectionProperty(type=VGGT_PG_file, name="Files", description="Pictures picked from the source folder")
    kind: EnumProperty(name="Kind", description="What the source is", items=KINDS)
    engine: EnumProperty(name="Engine", description="What solves the shot", items=ENGINES, update=_ask_backend)
    model: StringProperty(
        name="Model",
        description="For VGGT: a checkpoint file (.safetensors or .pt), or a model's name. Empty: the best model "
        "that is on this machine",
        subtype="FILE_PATH",
        options=RELATIVE,
    )
    tracks: IntProperty(
        name="Tracks",
        description="For VGGT: how many points of the first frame the network follows through all frames, for empties "
        "and clip markers; 0: none. COLMAP lends its solved points",
        min=0,
        soft_max=1000,
        max=100_000,
    )
    device: EnumProperty(name="Device", description="What it computes on", items=DEVICES)
    use_range: BoolProperty(name="Frame Range", description="Solve a part of the source only", update=_fit_range)
    first: IntProperty(
        name="First",
        description="First frame to solve: the plate's own number for an image sequence, otherwise counted from 0",
        min=0,
    )
    last: IntProperty(name="Last", description="Last frame to solve, counted like the first", min=0, default=100)
    step: IntProperty(name="Step", description="Solve every so many frames", min=1, default=1)
    mask: StringProperty(
        name="Mask",
        description="A picture for all frames, or a folder with one for each: black is left out of the solve",
        subtype="FILE_PATH",
        options=RELATIVE,
    )
    drawn_mask: PointerProperty(
        type=bpy.types.Mask,
        name="Drawn Mask",
        description="A mask drawn on the plate in the Clip Editor. What its shapes cover is left out of the solve, "
        "such as people and cars; it may be keyed or follow tracks",
    )
    known: PointerProperty(type=VGGT_PG_known, name="Known", description="What you know of the shot")
    clip: PointerProperty(
        type=bpy.types.MovieClip,
        name="Hand Tracks",
        description="A movie clip of the source: its tracks, as far as they were placed by hand, hold the next solve",
    )
    placement: EnumProperty(
        name="Scene Settings",
        description="Whether the scene takes the plate's resolution, frame rate and range",
        items=(ASK, *PLACEMENTS),
    )
    use_points: BoolProperty(name="Point Cloud", description="Bring in the colored points", default=True)
    use_planes: BoolProperty(
        name="Depth Planes",
        description="Bring in surfaces displaced by depth with the plate on them: every still, some frames of a shot",
        default=True,
    )
    results: CollectionProperty(type=VGGT_PG_result, name="Results", description="Reconstructions made for this scene")
    active_result: IntProperty(name="Active Result", description="The selected reconstruction", options=set())


def register() -> None:
    bpy.types.Scene.vggt = PointerProperty(type=VGGT_PG_settings)


def unregister() -> None:
    del bpy.types.Scene.vggt
