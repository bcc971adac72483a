# SPDX-License-Identifier: GPL-3.0-or-later
"""Which meshes of a scene make up one character's face. A second character beside it is never taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import bpy

from . import geometry
from .matching import Match, match_character


@lru_cache(maxsize=256)
def _matched(meshes: tuple[tuple[str, ...], ...]) -> tuple[Match, ...]:
    # A crowd has the same names many times.
    return match_character(meshes)


@dataclass(frozen=True)
class FaceMesh:
    """A mesh object with shape keys of a face, found during one call and not kept."""

    obj: Any
    match: Match
    face: geometry.Face

    @property
    def box(self) -> geometry.Box:
        """The box of what the keys move, in world space."""
        return self.face.low, self.face.high


def landmarks(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What `geometry.measure` takes, of (channel, shape key): a key that shows several channels, such as a whole
    smile, tells neither side nor height, and goes under its own name."""
    pairs = list(rows)
    shown = Counter(key for _, key in pairs)
    return {channel if shown[key] == 1 else key: key for channel, key in pairs}


def rig_of(obj: Any) -> Any:
    """The armature that moves an object: by modifier, or as the nearest armature among its parents; or None."""
    while obj is not None:
        if obj.type == "ARMATURE":
            return obj
        for modifier in obj.modifiers:
            if modifier.type == "ARMATURE" and modifier.object is not None:
                return modifier.object
        obj = obj.parent
    return None


def root_of(obj: Any) -> Any:
    """The topmost parent, or the object itself."""
    while obj.parent is not None:
        obj = obj.parent
    return obj


def key_names(obj: Any) -> tuple[str, ...]:
    """The names of a mesh object's shape keys but the first, which is the rest shape; none of anything else."""
    if obj.type != "MESH" or obj.data.shape_keys is None:
        return ()
    return tuple(block.name for block in obj.data.shape_keys.key_blocks)[1:]


def read_face(obj: Any) -> FaceMesh | None:
    """The object as a part of a face, or None if no shape key of it matches."""
    match = _matched((key_names(obj),))[0]
    return FaceMesh(obj, match, _measure(obj, match)) if match.rows else None


def _measure(obj: Any, match: Match) -> geometry.Face:
    return geometry.measure(obj, landmarks((row.channel, row.key) for row in match.rows))


def _of_one_family(parts: list[FaceMesh]) -> tuple[FaceMesh, ...]:
    """The parts of one character, matched with the family that all their names together tell."""
    found = []
    for part, match in zip(parts, _matched(tuple(key_names(part.obj) for part in parts)), strict=True):
        if match.rows == part.match.rows:
            found.append(replace(part, match=match))
        elif match.rows:
            found.append(FaceMesh(part.obj, match, _measure(part.obj, match)))
    return tuple(sorted(found or parts, key=_rank))


def _rank(part: FaceMesh) -> tuple[int, str]:
    return -len(part.match.rows), part.obj.name


def drivers_of(mesh: Any) -> list[Any]:
    """The datablocks that drivers of a mesh object's shape keys look at, such as a control rig, each once."""
    animation = mesh.data.shape_keys.animation_data
    return list(
        {
            target.id: None
            for curve in (animation.drivers if animation is not None else ())
            for variable in curve.driver.variables
            for target in variable.targets
            if target.id is not None
        }
    )


@dataclass(frozen=True)
class _Home:
    """Where an object belongs: its armature or None, and its topmost parent or itself."""

    rig: Any
    root: Any


class Finder:
    """Finds the meshes of characters in a scene's objects; looks at each object at most once."""

    def __init__(self, objects: Iterable[Any]) -> None:
        self._meshes = [o for o in objects if o.type == "MESH" and o.data.shape_keys is not None]
        self._read: dict[Any, FaceMesh | None] = {}
        self._homes: dict[Any, _Home] = {}
        self._boxes: geometry.Box | None = None
        self._touching: dict[Any, set[Any]] = {}
        self._collections: dict[Any, set[str]] | None = None

    def _home(self, obj: Any) -> _Home:
        if obj not in self._homes:
            self._homes[obj] = _Home(rig_of(obj), root_of(obj))
        return self._homes[obj]

    def _touch(self, one: Any, other: Any) -> bool:
        """Whether the boxes of two of the meshes touch."""
        if one not in self._touching:
            if self._boxes is None:
                self._boxes = geometry.boxes(self._meshes)
            mask = geometry.touching(geometry.box(one), self._boxes)
            self._touching[one] = {self._meshes[i] for i in mask.nonzero()[0]}
        return other in self._touching[one]

    def _share_collection(self, one: Any, other: Any) -> bool:
        if self._collections is None:
            # Object.users_collection looks through all collections for each object.
            self._collections = {}
            for collection in (*bpy.data.collections, *(scene.collection for scene in bpy.data.scenes)):
                for obj in collection.objects:
                    self._collections.setdefault(obj, set()).add(collection.name_full)
        none: set[str] = set()
        return not self._collections.get(one, none).isdisjoint(self._collections.get(other, none))

    def _owner(self, obj: Any) -> Any:
        """The rig, else the topmost parent; None for an object on its own."""
        home = self._home(obj)
        if home.rig is not None:
            return home.rig
        return None if home.root == obj else home.root

    def _two_owners(self, group: list[FaceMesh], obj: Any) -> bool:
        """Whether the object has another rig or topmost parent than the group; being led by one of its meshes is
        none."""
        members = [member.obj for member in group]
        theirs = self._owner(obj)
        if theirs is None or theirs in members:
            return False
        owners = [o for o in map(self._owner, members) if o is not None and o not in members]
        return any(o not in (theirs, obj) for o in owners)

    def face(self, obj: Any) -> FaceMesh | None:
        """The mesh as a part of a face, or None."""
        if obj not in self._read:
            self._read[obj] = read_face(obj)
        return self._read[obj]

    def faces(self, objects: Iterable[Any]) -> list[FaceMesh]:
        """Those of the objects that are parts of faces, in order."""
        return [face for face in map(self.face, objects) if face is not None]

    def character(self, seed: FaceMesh) -> tuple[FaceMesh, ...]:
        """The seed's character: same rig; same topmost parent, touching; else parts on their own in the same
        collection, of which one holds the other's middle (two heads side by side do not).

        The mesh with most keys is first, whichever the seed is.
        """
        group = [seed]
        todo = [seed]
        while todo:
            one = todo.pop()
            for obj in self._meshes:
                if any(obj == member.obj for member in group) or self._two_owners(group, obj):
                    continue
                other = self.face(obj) if self._belongs(one, obj) else None
                if other is not None:
                    group.append(other)
                    todo.append(other)
        return _of_one_family(group)

    def _belongs(self, one: FaceMesh, obj: Any) -> bool:
        home, other_home = self._home(one.obj), self._home(obj)
        if home.rig is not None and home.rig == other_home.rig:
            return True
        if home.rig is not None and other_home.rig is not None:
            return False
        same_root = home.root == other_home.root
        alone = one.obj.parent is None or obj.parent is None
        # Whole boxes first: measuring a face reads its keys.
        if not (same_root or alone) or not self._touch(one.obj, obj):
            return False
        if not same_root and not self._share_collection(one.obj, obj):
            return False
        other = self.face(obj)
        if other is None:
            return False
        if same_root:
            return geometry.touch(one.box, other.box)
        return geometry.holds(one.box, other.box) or geometry.holds(other.box, one.box)

    def characters(self, faces: Iterable[FaceMesh]) -> list[tuple[FaceMesh, ...]]:
        """The characters that the given parts belong to, each once."""
        found: list[tuple[FaceMesh, ...]] = []
        for face in sorted(faces, key=_rank):
            if not any(face.obj == member.obj for group in found for member in group):
                found.append(self.character(face))
        return found

    def kin(self, obj: Any) -> list[Any]:
        """What belongs to the same character as an object by its rig, else by the object's own parents and children:
        meshes with shape keys first, those with most of them before, then the rig."""
        rig = rig_of(obj)
        if rig is not None:
            meshes = [m for m in self._meshes if self._home(m).rig == rig]
        else:
            children = {child.name_full for child in obj.children_recursive}
            meshes = [m for m in self._meshes if m == obj or m.name_full in children]
        meshes.sort(key=lambda m: (-len(m.data.shape_keys.key_blocks), m.name))
        found = [*meshes, *([] if rig is None else [rig]), obj]
        return list({one.as_pointer(): one for one in found}.values())

    def related(self, obj: Any) -> list[tuple[FaceMesh, ...]]:
        """The characters that an object without a face of its own belongs to: the first of these that has any:
        its rig's, its children's, its family's, those whose keys it drives, its collection's (touching, if it has a
        shape of its own)."""
        rig = rig_of(obj)
        root = root_of(obj)
        children = {child.name_full for child in obj.children_recursive}
        solid = obj.type not in ("ARMATURE", "EMPTY")
        stages = (
            [m for m in self._meshes if rig is not None and self._home(m).rig == rig],
            [m for m in self._meshes if m.name_full in children],
            [m for m in self._meshes if self._home(m).root == root],
            [m for m in self._meshes if not {obj, obj.data}.isdisjoint(drivers_of(m))],
        )
        for stage in stages:
            faces = self.faces(stage)
            if faces:
                return self.characters(faces)
        mates = self.faces(m for m in self._meshes if self._share_collection(m, obj))
        return self.characters(m for m in mates if not solid or geometry.touch(geometry.box(obj), m.box))
