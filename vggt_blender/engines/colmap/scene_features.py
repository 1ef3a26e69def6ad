"""The features of all pictures that belong to the scene: masks, the bars of a letterbox and what is burnt in are left
out. The engine and refinement see the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ...exchange.messages import Reporter
from .features import MAX_FEATURES, MAX_FEATURES_ORDERED, Features, Look, find_features
from .overlays import Bars, overlay_features, within


def scene_features(
    looks: Iterable[Look], report: Reporter, *, ordered: bool, scratch: Path | None = None
) -> list[Features]:
    """Of every one of `looks` in order; `ordered` frames follow each other in time, which tells what is burnt in.

    Pictures pass through a folder in `scratch` (see `find_features`).
    """
    bars, shapes = Bars(), []

    def seen() -> Iterator[Look]:
        for gray, mask in looks:
            bars.look(gray)
            shapes.append(gray.shape)
            yield gray, mask

    features = list(find_features(seen(), MAX_FEATURES_ORDERED if ordered else MAX_FEATURES, scratch))
    pictures = {shape: bars.picture(shape) for shape in set(shapes)}
    for position, shape in enumerate(shapes):
        picture = pictures[shape]
        if picture is not None:
            features[position] = features[position].some(within(features[position], picture))
    return _without_overlays(features, report) if ordered else features


def _without_overlays(features: list[Features], report: Reporter) -> list[Features]:
    found = overlay_features(features)
    if found is None:
        return features
    report.status("Something stays on the same pixels while the picture moves (text, a logo): it is left out.")
    return [each.some(~overlaid) for each, overlaid in zip(features, found, strict=True)]
