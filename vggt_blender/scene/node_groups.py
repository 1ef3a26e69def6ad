"""The geometry-nodes groups of clouds and planes, built anew for each object: settings are never shared.

All filters act on attributes of the object: ``confidence_rank`` (the share of samples that are not more confident, 0
to 1, so that it works on any engine's scale), ``edge`` (the step in depth to a neighbour, relative to the depth),
``depth`` (from the camera's plane, in the solve's unit), ``frame`` (on the timeline) and ``agreement`` (how many other
frames see the same depth there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bpy

from .filters import AGREEMENT, CONFIDENCE, EDGE, FARTHEST, FIRST_FRAME, LAST_FRAME, NEAREST, Filter

RADIUS = "Radius"
DENSITY = "Density"
MATERIAL = "Material"
DISPLACEMENT = "Displacement"
FLAT_DEPTH = "Flat Depth"
ALL_FRAMES = "All Frames"
DEPTH = "Depth"
FIRST, STEP = "First Stored Frame", "Step of Stored Frames"

_TESTS = (
    (CONFIDENCE, "confidence_rank", "GREATER_THAN"),
    (EDGE, "edge", "LESS_EQUAL"),
    (NEAREST, "depth", "GREATER_EQUAL"),
    (FARTHEST, "depth", "LESS_EQUAL"),
    (FIRST_FRAME, "frame", "GREATER_EQUAL"),
    (LAST_FRAME, "frame", "LESS_EQUAL"),
    (AGREEMENT, "agreement", "GREATER_EQUAL"),
)


class _Graph:
    """Nodes and links of a group that has one geometry input and output."""

    def __init__(self, name: str) -> None:
        self.tree = bpy.data.node_groups.new(name, "GeometryNodeTree")
        self.tree.is_modifier = True
        self.tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
        self.tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
        self._column = 0
        self.inputs = self.tree.nodes.new("NodeGroupInput")
        self.inputs.location = (-400, 0)

    def parameter(self, name: str, kind: str, description: str, **settings: Any) -> None:
        socket = self.tree.interface.new_socket(name, in_out="INPUT", socket_type=f"NodeSocket{kind}")
        socket.description = description
        for key, value in settings.items():
            setattr(socket, key, value)

    def node(self, kind: str, *sources: Any, **settings: Any) -> Any:
        """A node whose visible inputs are fed in order by `sources`: output sockets, values, or None to leave one."""
        node = self.tree.nodes.new(kind)
        for key, value in settings.items():
            setattr(node, key, value)
        sockets = [socket for socket in node.inputs if socket.enabled]
        for socket, source in zip(sockets, sources, strict=False):
            if isinstance(source, bpy.types.NodeSocket):
                self.tree.links.new(source, socket)
            elif source is not None:
                socket.default_value = source
        node.location = (220 * self._column, -160 * (self._column % 3))
        self._column += 1
        return node

    def value(self, kind: str, *sources: Any, **settings: Any) -> Any:
        """The first visible output of such a node."""
        return next(s for s in self.node(kind, *sources, **settings).outputs if s.enabled)

    def attribute(self, name: str) -> Any:
        return self.value("GeometryNodeInputNamedAttribute", name, data_type="FLOAT")

    def compare(self, left: Any, right: Any, operation: str) -> Any:
        return self.value("FunctionNodeCompare", left, right, data_type="FLOAT", operation=operation)

    def both(self, left: Any, right: Any) -> Any:
        return self.value("FunctionNodeBooleanMath", left, right, operation="AND")

    def in_world_units(self, length: Any) -> Any:
        """A length of the solve in the world's unit: the parent's scale is the artist's, and so are the numbers that
        it is compared with."""
        own = self.node("GeometryNodeObjectInfo", self.value("GeometryNodeSelfObject"))
        size = self.value("ShaderNodeVectorMath", own.outputs["Scale"], operation="LENGTH")
        return self.value(
            "ShaderNodeMath",
            self.value("ShaderNodeMath", length, size, operation="MULTIPLY"),
            3**-0.5,
            operation="MULTIPLY",
        )

    def kept(self, filters: Sequence[Filter], values: Mapping[str, Any] | None = None) -> Any:
        """What passes all of `filters`, each an input of the group. `values` are sockets to test instead of the
        attributes of their name."""
        for entry in filters:
            self.parameter(entry.name, entry.kind, entry.description, **entry.limits)
        given, names = self.inputs.outputs, {entry.name for entry in filters}
        tests = []
        for name, attribute, operation in _TESTS:
            if name in names:
                value = (values or {}).get(attribute) or self.attribute(attribute)
                if attribute == "depth":
                    value = self.in_world_units(value)
                tests.append(self.compare(value, given[name], operation))
        kept = tests[0]
        for test in tests[1:]:
            kept = self.both(kept, test)
        return kept

    def finish(self, geometry: Any) -> bpy.types.NodeTree:
        output = self.tree.nodes.new("NodeGroupOutput")
        output.location = (220 * self._column, 0)
        self.tree.links.new(geometry, output.inputs[0])
        return self.tree


def point_group(name: str, radius: float, filters: Sequence[Filter]) -> bpy.types.NodeTree:
    """Vertices to points, with live radius, density, material and `filters`."""
    graph = _Graph(name)
    graph.parameter(RADIUS, "Float", "Radius of each point", default_value=radius, min_value=0.0, subtype="DISTANCE")
    graph.parameter(
        DENSITY,
        "Float",
        "Share of the points to show",
        default_value=1.0,
        min_value=0.0,
        max_value=1.0,
        subtype="FACTOR",
    )
    graph.parameter(MATERIAL, "Material", "Material of the points")
    kept = graph.kept(filters)
    given = graph.inputs.outputs
    shown = graph.both(kept, graph.value("FunctionNodeRandomValue", given[DENSITY], data_type="BOOLEAN"))
    points = graph.value("GeometryNodeMeshToPoints", given["Geometry"], shown, None, given[RADIUS])
    return graph.finish(graph.value("GeometryNodeSetMaterial", points, True, given[MATERIAL]))


def plane_group(name: str, flat_depth: float, filters: Sequence[Filter]) -> bpy.types.NodeTree:
    """Moves a grid at unit depth along its rays to attribute ``depth``, and deletes the faces that `filters` hide."""
    graph = _Graph(name)
    graph.parameter(
        DISPLACEMENT, "Float", "0 is a flat card, 1 the solved depth", default_value=1.0, min_value=0.0, max_value=1.0,
        subtype="FACTOR",
    )  # fmt: skip
    graph.parameter(
        FLAT_DEPTH, "Float", "Distance of the flat card", default_value=flat_depth, min_value=0.0, subtype="DISTANCE"
    )
    hidden = graph.value("FunctionNodeBooleanMath", graph.kept(filters), operation="NOT")
    given = graph.inputs.outputs
    kept = graph.value("GeometryNodeDeleteGeometry", given["Geometry"], hidden, domain="FACE", mode="ALL")
    shape = graph.value("ShaderNodeMath", graph.attribute("depth"), given[FLAT_DEPTH], operation="SUBTRACT")
    depth = graph.value("ShaderNodeMath", shape, given[DISPLACEMENT], given[FLAT_DEPTH], operation="MULTIPLY_ADD")
    place = graph.value("ShaderNodeVectorMath", graph.value("GeometryNodeInputPosition"), operation="SCALE")
    graph.tree.links.new(depth, place.node.inputs["Scale"])
    return graph.finish(graph.value("GeometryNodeSetPosition", kept, None, place))


def track_group(name: str, radius: float) -> bpy.types.NodeTree:
    """Vertices to points while their track lasts: from attribute ``first`` to ``last``, frames of the timeline."""
    graph = _Graph(name)
    graph.parameter(RADIUS, "Float", "Radius of each point", default_value=radius, min_value=0.0, subtype="DISTANCE")
    graph.parameter(
        ALL_FRAMES, "Bool", "Show every track, whether or not it is seen at this frame", default_value=False
    )
    graph.parameter(MATERIAL, "Material", "Material of the points")
    given = graph.inputs.outputs
    now = graph.node("GeometryNodeInputSceneTime").outputs["Frame"]
    during = graph.both(
        graph.compare(graph.attribute("first"), now, "LESS_EQUAL"),
        graph.compare(graph.attribute("last"), now, "GREATER_EQUAL"),
    )
    shown = graph.value("FunctionNodeBooleanMath", during, given[ALL_FRAMES], operation="OR")
    points = graph.value("GeometryNodeMeshToPoints", given["Geometry"], shown, None, given[RADIUS])
    return graph.finish(graph.value("GeometryNodeSetMaterial", points, True, given[MATERIAL]))


def moving_plane_group(name: str, filters: Sequence[Filter]) -> bpy.types.NodeTree:
    """A grid at unit depth, moved along its rays to the depth that an image sequence has for the current frame.

    Red is the depth (0: unknown), green the confidence rank, blue the agreement, at attributes ``map_u``, ``map_v``.
    The nodes `FIRST` and `STEP` say which frames the sequence has a file for: `set_stored_frames`.
    """
    graph = _Graph(name)
    graph.parameter(DEPTH, "Image", "The depth of each frame, as an image sequence")
    for entry in filters:
        if entry.name == EDGE:
            graph.parameter(entry.name, entry.kind, entry.description, **entry.limits)
    given = graph.inputs.outputs
    first, step = (graph.value("ShaderNodeValue", name=title, label=title) for title in (FIRST, STEP))
    since = graph.value(
        "ShaderNodeMath", graph.node("GeometryNodeInputSceneTime").outputs["Frame"], first, operation="SUBTRACT"
    )
    stored = graph.value("ShaderNodeMath", since, step, operation="SNAP")
    number = graph.value("ShaderNodeMath", stored, first, operation="ADD")
    place = graph.value("ShaderNodeCombineXYZ", graph.attribute("map_u"), graph.attribute("map_v"), 0.0)
    pixel = graph.node("GeometryNodeImageTexture", given[DEPTH], place, number, interpolation="Closest")
    seen = graph.value(
        "GeometryNodeStoreNamedAttribute", given["Geometry"], None, "seen", pixel.outputs["Color"],
        data_type="FLOAT_COLOR", domain="POINT",
    )  # fmt: skip
    channels = graph.node(
        "FunctionNodeSeparateColor", graph.value("GeometryNodeInputNamedAttribute", "seen", data_type="FLOAT_COLOR")
    ).outputs
    depth = channels[0]
    values = {"depth": depth, "confidence_rank": channels[1], "agreement": channels[2]}
    kept = graph.kept([entry for entry in filters if entry.name != EDGE], values)
    known = graph.both(kept, graph.compare(depth, 0.0, "GREATER_THAN"))
    hidden = graph.value("FunctionNodeBooleanMath", known, operation="NOT")
    grid = graph.value("GeometryNodeDeleteGeometry", seen, hidden, domain="POINT", mode="ALL")
    ray = graph.value("ShaderNodeVectorMath", graph.value("GeometryNodeInputPosition"), operation="SCALE")
    graph.tree.links.new(depth, ray.node.inputs["Scale"])
    shape = graph.value("GeometryNodeSetPosition", grid, None, ray)
    ends = graph.node("GeometryNodeInputMeshEdgeVertices").outputs
    near, far = (
        graph.value(
            "ShaderNodeMath", graph.node("ShaderNodeSeparateXYZ", ends[name]).outputs["Z"], operation="ABSOLUTE"
        )
        for name in ("Position 1", "Position 2")
    )
    gap = graph.value(
        "ShaderNodeMath", graph.value("ShaderNodeMath", near, far, operation="SUBTRACT"), operation="ABSOLUTE"
    )
    nearer = graph.value("ShaderNodeMath", near, far, operation="MINIMUM")
    torn = graph.compare(graph.value("ShaderNodeMath", gap, nearer, operation="DIVIDE"), given[EDGE], "GREATER_THAN")
    return graph.finish(graph.value("GeometryNodeDeleteGeometry", shape, torn, domain="EDGE", mode="EDGE_FACE"))


def set_stored_frames(group: bpy.types.NodeTree, first: int, step: int) -> None:
    """Have a `moving_plane_group` look at a sequence that has a file for every `step`-th frame from `first` on."""
    for title, value in ((FIRST, first), (STEP, step)):
        group.nodes[title].outputs[0].default_value = value
