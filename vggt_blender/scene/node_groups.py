"""The geometry-nodes groups of clouds and planes, built anew for each object: settings are never shared.

All thresholds act on attributes of the object: ``confidence_rank`` (the share of samples that are not more confident, 0
to 1, so that it works on any engine's scale) and ``edge`` (the step in depth to a neighbour, relative to the depth).
"""

from __future__ import annotations

from typing import Any

import bpy

RADIUS = "Radius"
DENSITY = "Density"
CONFIDENCE = "Confidence"
EDGE = "Edge Threshold"
MATERIAL = "Material"
DISPLACEMENT = "Displacement"
FLAT_DEPTH = "Flat Depth"


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

    def finish(self, geometry: Any) -> bpy.types.NodeTree:
        output = self.tree.nodes.new("NodeGroupOutput")
        output.location = (220 * self._column, 0)
        self.tree.links.new(geometry, output.inputs[0])
        return self.tree


def point_group(name: str, radius: float, confidence: float, edge: float) -> bpy.types.NodeTree:
    """Vertices to points, with live radius, confidence, edge threshold, density and material."""
    graph = _Graph(name)
    graph.parameter(RADIUS, "Float", "Radius of each point", default_value=radius, min_value=0.0, subtype="DISTANCE")
    _confidence_parameter(graph, confidence)
    graph.parameter(
        EDGE,
        "Float",
        "Hide points where the depth jumps by more than this share of it",
        default_value=edge,
        min_value=0.0,
    )
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
    given = graph.inputs.outputs
    shown = graph.both(
        graph.compare(graph.attribute("confidence_rank"), given[CONFIDENCE], "GREATER_THAN"),
        graph.compare(graph.attribute("edge"), given[EDGE], "LESS_EQUAL"),
    )
    shown = graph.both(shown, graph.value("FunctionNodeRandomValue", given[DENSITY], data_type="BOOLEAN"))
    points = graph.value("GeometryNodeMeshToPoints", given["Geometry"], shown, None, given[RADIUS])
    return graph.finish(graph.value("GeometryNodeSetMaterial", points, True, given[MATERIAL]))


def plane_group(name: str, flat_depth: float, confidence: float, edge: float) -> bpy.types.NodeTree:
    """Moves a grid at unit depth along its rays to attribute ``depth``, and cuts faces at edges and low confidence."""
    graph = _Graph(name)
    graph.parameter(
        DISPLACEMENT, "Float", "0 is a flat card, 1 the solved depth", default_value=1.0, min_value=0.0, max_value=1.0,
        subtype="FACTOR",
    )  # fmt: skip
    graph.parameter(
        FLAT_DEPTH, "Float", "Distance of the flat card", default_value=flat_depth, min_value=0.0, subtype="DISTANCE"
    )
    _confidence_parameter(graph, confidence)
    graph.parameter(
        EDGE, "Float", "Cut where the depth jumps by more than this share of it", default_value=edge, min_value=0.0
    )
    given = graph.inputs.outputs
    low = graph.compare(graph.attribute("confidence_rank"), given[CONFIDENCE], "LESS_EQUAL")
    torn = graph.compare(graph.attribute("edge"), given[EDGE], "GREATER_THAN")
    cut = graph.value("FunctionNodeBooleanMath", low, torn, operation="OR")
    kept = graph.value("GeometryNodeDeleteGeometry", given["Geometry"], cut, domain="FACE", mode="ALL")
    shape = graph.value("ShaderNodeMath", graph.attribute("depth"), given[FLAT_DEPTH], operation="SUBTRACT")
    depth = graph.value("ShaderNodeMath", shape, given[DISPLACEMENT], given[FLAT_DEPTH], operation="MULTIPLY_ADD")
    place = graph.value("ShaderNodeVectorMath", graph.value("GeometryNodeInputPosition"), operation="SCALE")
    graph.tree.links.new(depth, place.node.inputs["Scale"])
    return graph.finish(graph.value("GeometryNodeSetPosition", kept, None, place))


def _confidence_parameter(graph: _Graph, default: float) -> None:
    graph.parameter(
        CONFIDENCE,
        "Float",
        "Hide this share, the least confident",
        default_value=default,
        min_value=0.0,
        max_value=1.0,
        subtype="FACTOR",
    )
