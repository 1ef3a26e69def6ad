"""Where Blender 4.2 to 5.2 differ, in one place.

Seen from outside, every function does the same thing in every version.
"""

from __future__ import annotations

from typing import Any

import bpy


def action_curves(datablock: bpy.types.ID, name: str) -> Any:
    """The f-curves that animate `datablock`, in its action, which is made (and named `name`) where there is none.

    Blender 4.4 put slots and layers between an action and its curves, and 5.0 took the old way out.
    """
    animation = datablock.animation_data_create()
    if animation.action is None:
        animation.action = bpy.data.actions.new(name)
    action = animation.action
    if bpy.app.version < (4, 4, 0):
        return action.fcurves
    if animation.action_slot is None:
        animation.action_slot = action.slots.new(id_type=datablock.id_type, name=datablock.name)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(animation.action_slot, ensure=True).fcurves


def _input_identifier(modifier: Any, name: str) -> str:
    for item in modifier.node_group.interface.items_tree:
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.name == name:
            return str(item.identifier)
    raise KeyError(f"{modifier.node_group.name} has no input '{name}'")


def get_modifier_input(modifier: Any, name: str) -> Any:
    """The value of the geometry-nodes input that the user sees as `name`."""
    identifier = _input_identifier(modifier, name)
    if bpy.app.version < (5, 2, 0):
        return modifier[identifier]
    return getattr(modifier.properties.inputs, identifier).value


def set_modifier_input(modifier: Any, name: str, value: Any) -> None:
    """Set the geometry-nodes input that the user sees as `name`. Floats stay floats, datablocks datablocks."""
    identifier = _input_identifier(modifier, name)
    if bpy.app.version < (5, 2, 0):
        modifier[identifier] = value
    else:
        getattr(modifier.properties.inputs, identifier).value = value
    modifier.id_data.update_tag()


def modifier_input_path(modifier: Any, name: str) -> str:
    """The RNA path, from the object, of a geometry-nodes input: what a driver or an f-curve needs."""
    identifier = _input_identifier(modifier, name)
    if bpy.app.version < (5, 2, 0):
        return f'modifiers["{modifier.name}"]["{identifier}"]'
    return f'modifiers["{modifier.name}"].properties.inputs.{identifier}.value'


def node_material(name: str) -> bpy.types.Material:
    """A new material with an empty node tree."""
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    material.node_tree.nodes.clear()
    return material


def compositor_tree(scene: bpy.types.Scene, name: str) -> tuple[Any, Any]:
    """The compositor's node tree of `scene`, made (and named `name`) where there is none, and the socket that takes the
    final picture; None instead of it where the compositor is in use.

    Blender 5.0 made the tree a node group of its own, with an output of its own.
    """
    if bpy.app.version < (5, 0, 0):
        used = scene.use_nodes and scene.node_tree is not None and len(scene.node_tree.nodes) > 2
        scene.use_nodes = True
        tree = scene.node_tree
        if used:
            return tree, None
        tree.nodes.clear()
        output = tree.nodes.new("CompositorNodeComposite")
    else:
        tree = scene.compositing_node_group
        if tree is not None and len(tree.nodes) > 2:
            return tree, None
        if tree is None:
            tree = bpy.data.node_groups.new(name, "CompositorNodeTree")
            scene.compositing_node_group = tree
        tree.nodes.clear()
        tree.interface.clear()
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        output = tree.nodes.new("NodeGroupOutput")
    output.location = (300, 0)
    return tree, output.inputs[0]


def present_compositor(scene: bpy.types.Scene) -> Any:
    """The compositor's node tree of `scene`, or None."""
    if bpy.app.version < (5, 0, 0):
        return scene.node_tree if scene.use_nodes else None
    return scene.compositing_node_group


def choose_node_option(node: Any, setting: str, value: str, socket: str, shown: str) -> None:
    """Set an option of a compositor node: a property up to Blender 4.5, a menu socket from 5.0."""
    if hasattr(node, setting):
        setattr(node, setting, value)
    else:
        node.inputs[socket].default_value = shown


def math_node(tree: Any, operation: str) -> Any:
    """A node of the compositor that calculates; Blender 5.0 gave it the one of shaders."""
    node = tree.nodes.new("CompositorNodeMath" if bpy.app.version < (5, 0, 0) else "ShaderNodeMath")
    node.operation = operation
    return node
