"""One collection per reconstruction: what belongs to it, found again by role whatever the artist renamed."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import bpy

from ..exchange.reconstruction import VERSION, Reconstruction

ID = "vggt_id"
ROLE = "vggt_role"
FOLDER = "vggt_folder"
FORMAT_VERSION = "vggt_version"
SOURCE = "vggt_source"
KIND = "vggt_kind"
FRAMES = "vggt_frames"  # the names of the frames that were placed, one a line
TIME = "vggt_time"  # when it was built last, in seconds


class Holder:
    """The collection of one reconstruction, and the way to make or find its objects.

    Every object carries the collection's id and its role ("root", "camera", "plane:NAME", ...) as custom properties,
    so that a new solve updates the objects that are there, together with what the artist attached to them.
    """

    def __init__(self, collection: bpy.types.Collection) -> None:
        self.collection = collection
        self._objects = self._marked(collection.all_objects)
        self._looked_elsewhere = False

    @classmethod
    def create(cls, name: str, parent: bpy.types.Collection) -> Holder:
        collection = bpy.data.collections.new(name)
        collection[ID] = uuid.uuid4().hex
        parent.children.link(collection)
        return cls(collection)

    @property
    def name(self) -> str:
        return str(self.collection.name)

    def describe(self, reconstruction: Reconstruction) -> None:
        """Note where the reconstruction lies and what it shows, for importing it again."""
        self.collection[FOLDER] = str(reconstruction.folder.absolute())
        self.collection[FORMAT_VERSION] = VERSION
        self.collection[SOURCE] = reconstruction.source.path
        self.collection[KIND] = reconstruction.source.kind
        self.collection[FRAMES] = "\n".join(frame.name for frame in reconstruction.frames if frame.registered)
        self.collection[TIME] = time.time()

    def find(self, role: str) -> bpy.types.Object | None:
        """The object of `role`, wherever the artist moved it; of duplicates the one in the collection."""
        if role not in self._objects:
            self._look_elsewhere()
        return self._objects.get(role)

    def _marked(self, things: Iterable[bpy.types.Object]) -> dict[str, bpy.types.Object]:
        """By role; a duplicate carries the same marks and comes after its original."""
        found: dict[str, bpy.types.Object] = {}
        for thing in things:
            if thing.get(ID) == self.collection[ID]:
                found.setdefault(str(thing[ROLE]), thing)
        return found

    def _look_elsewhere(self) -> None:
        """All objects of the file: once, and only where the collection lacks something, as panels ask at every draw."""
        if not self._looked_elsewhere:
            self._looked_elsewhere = True
            theirs = {thing for copy in self._copies() for thing in copy.all_objects}
            mine = (thing for thing in bpy.data.objects if thing.library is None and thing not in theirs)
            self._objects = {**self._marked(mine), **self._objects}

    def _copies(self) -> list[bpy.types.Collection]:
        """Other collections of the same id: a scene that was copied whole has its own."""
        same = (other for other in bpy.data.collections if other.get(ID) == self.collection[ID])
        return [other for other in same if other != self.collection]

    def ensure(
        self, role: str, name: str, data: bpy.types.ID | None, group: str | None = None
    ) -> tuple[bpy.types.Object, bool]:
        """The object of `role`, and whether it is new. A new one gets `data` and sits in the sub-collection `group`.

        An object that is there keeps its own data; `data` is then not used and removed.
        """
        present = self.find(role)
        if present is not None:
            if data is not None:
                bpy.data.batch_remove([data])
            return present, False
        thing = bpy.data.objects.new(name, data)
        thing[ID], thing[ROLE] = self.collection[ID], role
        self._group(group).objects.link(thing)
        self._objects[role] = thing
        return thing, True

    def keep_only(self, prefix: str, roles: set[str]) -> None:
        """Remove the objects whose role starts with `prefix` and is not among `roles`, with their data and markers."""
        self._look_elsewhere()
        for role in [role for role in self._objects if role.startswith(prefix) and role not in roles]:
            thing = self._objects.pop(role)
            data = thing.data
            for scene in bpy.data.scenes:
                for marker in [marker for marker in scene.timeline_markers if marker.camera == thing]:
                    scene.timeline_markers.remove(marker)
            bpy.data.objects.remove(thing)
            if data is not None and data.users == 0:
                bpy.data.batch_remove([data])

    def _group(self, title: str | None) -> bpy.types.Collection:
        if title is None:
            return self.collection
        for child in self.collection.children:
            if child.get(ROLE) == title:
                return child
        child = bpy.data.collections.new(f"{self.name} {title}")
        child[ROLE] = title
        self.collection.children.link(child)
        return child


def find_collection(
    reconstruction: Reconstruction, scene: bpy.types.Scene | None = None
) -> bpy.types.Collection | None:
    """The newest collection (in `scene`, or anywhere in this file) that a new solve of the same source belongs to.

    That is one of the same kind of source at the same path, with at least one placed frame in common: without one
    nothing says how the new solve lies in the old one's world. One that is linked from another file is none: what is
    written into that is not saved.
    """
    source = reconstruction.source
    names = {frame.name for frame in reconstruction.frames if frame.registered}
    places = bpy.data.collections if scene is None else scene.collection.children_recursive
    matches = [
        collection
        for collection in places
        if ID in collection
        and collection.library is None
        and collection.override_library is None
        and collection.get(KIND) == source.kind
        and _same(str(collection.get(SOURCE, ""))) == _same(source.path)
        and names & set(str(collection.get(FRAMES, "")).split("\n"))
    ]
    return max(matches, key=lambda collection: collection.get(TIME, 0.0), default=None)


def _same(path: str) -> str:
    return os.path.normcase(os.path.normpath(Path(path).absolute())) if path else ""


def title_of(reconstruction: Reconstruction) -> str:
    """A name for people: the video's or the sequence's without number and ending, else the folder's."""
    path = Path(reconstruction.source.path)
    name = path.name if reconstruction.source.kind == "images" else path.stem.rstrip("#._-")
    return (name or reconstruction.folder.name or "Reconstruction")[:40]
