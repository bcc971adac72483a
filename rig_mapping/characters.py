# SPDX-License-Identifier: GPL-3.0-or-later
"""Which meshes of a scene make up one character's face. A second character beside it is never taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import geometry
from .names import match_names
from .profiles import DEFAULT, get


@dataclass(frozen=True)
class MatchedRow:
    channel: str
    key: str
    gain: float
    confidence: float


@dataclass(frozen=True)
class Match:
    rows: tuple[MatchedRow, ...]
    ambiguous: Mapping[str, tuple[str, ...]]
    taken: Mapping[str, str]


@lru_cache(maxsize=256)
def _matched(names: tuple[str, ...], profile_id: str) -> Match:
    profile = get(profile_id)
    found = match_names(names, profile)
    rows = tuple(
        MatchedRow(channel, key, profile.full * shape.gain, 1.0)
        for channel, shapes in profile.channels.items()
        for shape in shapes
        for key in found.keys.get(shape.name, ())
    )
    return Match(rows, found.ambiguous, {s: keys[0] for s, keys in found.keys.items()})


@dataclass(frozen=True)
class FaceMesh:
    """A mesh object with shape keys that belong to a family of rigs, found during one call and not kept."""

    obj: Any
    match: Match
    face: geometry.Face

    @property
    def box(self) -> tuple[geometry.Array, geometry.Array]:
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


def read_face(obj: Any, profile_id: str = DEFAULT) -> FaceMesh | None:
    """The object as a part of a face, or None if no shape key of it matches."""
    match = _matched(key_names(obj), profile_id)
    if not match.rows:
        return None
    return FaceMesh(obj, match, geometry.measure(obj, landmarks((row.channel, row.key) for row in match.rows)))


def _share_collection(one: Any, other: Any) -> bool:
    return bool({c.name_full for c in one.users_collection} & {c.name_full for c in other.users_collection})


def _owner(obj: Any) -> Any:
    """The rig, else the topmost parent; None for an object on its own."""
    rig = rig_of(obj)
    if rig is not None:
        return rig
    root = root_of(obj)
    return None if root == obj else root


def _two_owners(group: list[FaceMesh], obj: Any) -> bool:
    """Whether the object has another rig or topmost parent than the group; being led by one of its meshes is none."""
    members = [member.obj for member in group]
    theirs = _owner(obj)
    if theirs is None or theirs in members:
        return False
    owners = [o for o in map(_owner, members) if o is not None and o not in members]
    return any(o not in (theirs, obj) for o in owners)


class Finder:
    """Finds the meshes of characters in a scene's objects; reads each mesh at most once."""

    def __init__(self, objects: Iterable[Any]) -> None:
        self._meshes = [o for o in objects if o.type == "MESH" and o.data.shape_keys is not None]
        self._read: dict[Any, FaceMesh | None] = {}

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
                if any(obj == member.obj for member in group) or _two_owners(group, obj):
                    continue
                other = self.face(obj) if self._belongs(one, obj) else None
                if other is not None:
                    group.append(other)
                    todo.append(other)
        return tuple(sorted(group, key=lambda m: (-len(m.match.rows), m.obj.name)))

    def _belongs(self, one: FaceMesh, obj: Any) -> bool:
        rig = rig_of(one.obj)
        other_rig = rig_of(obj)
        if rig is not None and rig == other_rig:
            return True
        if rig is not None and other_rig is not None:
            return False
        same_root = root_of(one.obj) == root_of(obj)
        alone = one.obj.parent is None or obj.parent is None
        if not same_root and not (alone and _share_collection(one.obj, obj)):
            return False
        # Whole boxes first: measuring a face reads its keys.
        if not geometry.touch(geometry.box(one.obj), geometry.box(obj)):
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
        for face in sorted(faces, key=lambda m: (-len(m.match.rows), m.obj.name)):
            if not any(face.obj == member.obj for group in found for member in group):
                found.append(self.character(face))
        return found

    def kin(self, obj: Any) -> list[Any]:
        """What belongs to the same character as an object by its rig, else by the object's own parents and children:
        meshes with shape keys first, those with most of them before, then the rig."""
        rig = rig_of(obj)
        if rig is not None:
            meshes = [m for m in self._meshes if rig_of(m) == rig]
        else:
            children = {child.name_full for child in obj.children_recursive}
            meshes = [m for m in self._meshes if m == obj or m.name_full in children]
        meshes.sort(key=lambda m: (-len(m.data.shape_keys.key_blocks), m.name))
        found = [*meshes, *([] if rig is None else [rig]), obj]
        return list({one.as_pointer(): one for one in found}.values())

    def related(self, obj: Any) -> list[tuple[FaceMesh, ...]]:
        """The characters that an object without a face of its own belongs to: the first of these that has any:
        its rig's, its children's, its family's, its collection's (touching, if it has a shape of its own)."""
        rig = rig_of(obj)
        root = root_of(obj)
        children = {child.name_full for child in obj.children_recursive}
        solid = obj.type not in ("ARMATURE", "EMPTY")
        stages = (
            [m for m in self._meshes if rig is not None and rig_of(m) == rig],
            [m for m in self._meshes if m.name_full in children],
            [m for m in self._meshes if root_of(m) == root],
        )
        for stage in stages:
            faces = self.faces(stage)
            if faces:
                return self.characters(faces)
        mates = self.faces(m for m in self._meshes if _share_collection(m, obj))
        return self.characters(m for m in mates if not solid or geometry.touch(geometry.box(obj), m.box))
