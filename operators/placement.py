"""Whether the scene takes over the plate's settings, and the question before that happens to a scene in use."""

from itertools import product

import bpy
from bpy.props import EnumProperty

PLACEMENTS = (
    ("this", "This Scene", "Give this scene the plate's resolution, frame rate, range and colors"),
    ("new", "New Scene", "Make a scene for the shot and go there"),
    ("keep", "Leave Scene Settings", "Add the result to this scene and leave its settings alone"),
)
ASK = ("ask", "Ask", "This scene where it is empty; otherwise ask first")
_STARTUP = frozenset({"Camera", "Cube", "Light"})


def is_in_use(scene: bpy.types.Scene) -> bool:
    """Whether `scene` holds more than Blender's own start-up objects."""
    return not {thing.name for thing in scene.objects} <= _STARTUP


def hide_startup_cube(scene: bpy.types.Scene) -> None:
    """Hide Blender's own cube, which the cameras of a shot often begin inside; one that was worked on is left alone."""
    cube = scene.objects.get("Cube")
    if cube is None or cube.type != "MESH" or cube.modifiers or cube.material_slots[1:]:
        return
    corners = {tuple(vertex.co) for vertex in cube.data.vertices}
    if cube.matrix_world.is_identity and corners == set(product((-1.0, 1.0), repeat=3)):
        cube.hide_viewport = cube.hide_render = True


def settle(placement: str, scene: bpy.types.Scene) -> str:
    """`placement` with ``ask`` answered where nobody can be asked: a scene in use keeps its settings."""
    if placement != "ask":
        return placement
    return "keep" if is_in_use(scene) else "this"


class AsksPlacement:
    """A mix-in for operators: ``placement``, and a dialog for it where the scene is in use."""

    placement: EnumProperty(
        name="Scene Settings",
        description="Whether the scene takes the plate's resolution, frame rate and range",
        items=(ASK, *PLACEMENTS),
        options={"SKIP_SAVE"},
    )
    choice: EnumProperty(
        name="Scene Settings",
        description="Whether the scene takes the plate's resolution, frame rate and range",
        items=PLACEMENTS,
    )
    asked = False

    def ask(self, context: bpy.types.Context) -> set[str]:
        """Open the dialog where it is needed, else execute at once."""
        if self.placement == "ask" and is_in_use(context.scene):
            self.asked = True
            return context.window_manager.invoke_props_dialog(self, width=320)
        return self.execute(context)

    def draw(self, _context: bpy.types.Context) -> None:
        """The dialog: what the plate would change, and the three answers."""
        column = self.layout.column()
        column.label(text="This scene is in use. The plate's resolution,")
        column.label(text="frame rate, range and colors go to:")
        column.prop(self, "choice", expand=True)

    def settled_placement(self, scene: bpy.types.Scene) -> str:
        """The answer, or what is sensible without one."""
        return self.choice if self.asked else settle(self.placement, scene)
