# SPDX-License-Identifier: GPL-3.0-or-later
"""The face that a performance is written to: one character's meshes with shape keys, its head and its eyes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import bpy

from ..performance import BLEND_SHAPES, CHANNELS, HEAD_CHANNELS, FacescriptError
from . import controls, geometry
from .characters import FaceMesh, Finder, drivers_of, key_names, landmarks, rig_of, root_of
from .controls import Turn
from .drivers import Control, Drivers, Wanted
from .mapping import Mapping, MapRow, Number, numbers
from .matching import MatchedRow
from .references import ObjectRef, driven_paths, editable, key_path, resolve

EYE_ANGLES: tuple[str, ...] = tuple(c.name for c in CHANNELS if c.is_angle and c.name not in HEAD_CHANNELS)
EYE_LOOKS: tuple[str, ...] = tuple(name for name in BLEND_SHAPES if name.startswith("eyeLook"))

# How sure a control's row is, of how sure its key is.
_FOLLOWED = 0.95
# What can be selected near a face without meaning it.
_NEVER = ("CAMERA", "LIGHT", "LIGHT_PROBE", "SPEAKER")

# Finds the mapping that is kept with a character, given its objects.
Stored = Callable[[list[Any]], Mapping | None]


@dataclass(frozen=True)
class MeshKeys:
    """A mesh object of the face, and what its shape keys show, whatever moves them: (channel, key)."""

    object: ObjectRef
    keys: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Target:
    """One character's face, by names: it stays valid through undo, and says so when an object is gone.

    `profile`: the id of the family of rigs that it belongs to. `mapping`: all rows that are written, and `numbers` and
    `turns`, what they lead to. `owner`: the object that the face's settings are kept on. `covered`: the channels that
    it shows, in order; `missing`: those that nothing on it shows. `warnings` are sentences for the user.
    """

    name: str
    profile: str
    mapping: Mapping
    owner: ObjectRef
    meshes: tuple[MeshKeys, ...]
    numbers: tuple[Number, ...]
    turns: tuple[Turn, ...]
    covered: tuple[str, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def head(self) -> tuple[Turn, ...]:
        """What turns the head, the neck first; empty if nothing does."""
        return tuple(turn for turn in self.turns if set(turn.channels) & set(HEAD_CHANNELS))

    @property
    def eyes(self) -> tuple[Turn, ...]:
        """What turns the eyes, other than shape keys; empty if nothing does."""
        return tuple(turn for turn in self.turns if set(turn.channels) & set(EYE_ANGLES))


def find_target(obj: Any, stored: Stored | None = None) -> Target:
    """The face of the character that `obj` (a bpy Object, usually the active one, or None) belongs to.

    `obj` is a mesh of the face, another part of the character, its armature, its parent, or an object in its
    collection that touches it. A mapping that `stored` finds with the character is used as it is, but for what is not
    there any more; else the names of its shape keys and bones are matched. Brings the scene up to date, so do not call
    it while drawing.
    Raises FacescriptError: `no_object`, `wrong_type`, `no_face`, `no_shape_keys`, `no_arkit_keys`,
    `several_faces`, `linked`, `absolute_keys`, `driven_keys`, `empty_mapping`.
    """
    if obj is None:
        raise FacescriptError("no_object", "No object is selected.", "Click the character's face first.")
    if obj.type in _NEVER:
        kind = obj.type.replace("_", " ").lower()
        raise FacescriptError("wrong_type", f"{obj.name!r} is a {kind}, not a face.", "Select the character's face.")
    context: Any = bpy.context
    context.view_layer.update()
    objects = _scene_objects(obj)
    finder = Finder(objects)
    parts = _parts(obj, finder)
    members = _members(parts) or finder.kin(obj)
    mapping = stored(members) if stored is not None else None
    if mapping is not None:
        return _as_stored(members, parts, mapping)
    if not parts:
        raise _no_face(obj)
    return _as_matched(parts, objects)


def _members(parts: Iterable[FaceMesh]) -> list[Any]:
    """The objects of a character: the meshes of its face, their armatures, and what drives their shape keys."""
    meshes = [part.obj for part in parts]
    rigs = [rig for rig in map(rig_of, meshes) if rig is not None]
    controls = [block for mesh in meshes for block in drivers_of(mesh) if block.id_type == "OBJECT"]
    return list(dict.fromkeys([*meshes, *rigs, *controls]))


def measure(target: Target) -> geometry.Face:
    """Where a target's face is now and which way it looks. Raises FacescriptError (`target_gone`)."""
    if not target.meshes:
        return geometry.unmarked([target.owner.find()])
    return geometry.join(geometry.measure(mesh.object.find(), landmarks(mesh.keys)) for mesh in target.meshes)


def _parts(obj: Any, finder: Finder) -> tuple[FaceMesh, ...]:
    """The meshes of the face that an object belongs to; none if no name of a shape key matches."""
    seed = finder.face(obj)
    if seed is not None:
        return finder.character(seed)
    characters = finder.related(obj)
    if len(characters) > 1:
        names = ", ".join(repr(c[0].obj.name) for c in characters[:4])
        raise FacescriptError(
            "several_faces",
            f"{obj.name!r} belongs to {len(characters)} faces: {names}.",
            "Select one of them.",
        )
    return characters[0] if characters else ()


def _scene_objects(obj: Any) -> list[Any]:
    scenes = obj.users_scene
    current: Any = bpy.context.scene
    scene = current if current in scenes or not scenes else scenes[0]
    objects = list(scene.objects)
    return objects if obj in objects else [obj, *objects]


def _no_face(obj: Any) -> FacescriptError:
    if obj.type != "MESH":
        return FacescriptError(
            "no_face",
            f"Nothing that belongs to {obj.name!r} has facial shape keys.",
            "Select the mesh of the face.",
        )
    if obj.data.shape_keys is None or len(obj.data.shape_keys.key_blocks) < 2:
        return FacescriptError(
            "no_shape_keys",
            f"The mesh {obj.name!r} has no shape keys.",
            "Select the mesh that has the 52 ARKit shape keys, or add them to this one.",
        )
    names = [block.name for block in obj.data.shape_keys.key_blocks][1:]
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return FacescriptError(
        "no_arkit_keys",
        f"None of the {len(names)} shape keys of {obj.name!r} has a name that is known; it has {shown}.",
        "Name them as ARKit does, such as jawOpen or mouthSmileLeft.",
    )


def _as_matched(parts: tuple[FaceMesh, ...], objects: list[Any]) -> Target:
    """The target that names of shape keys and bones lead to."""
    warnings: list[str] = []
    rows, shown_parts = _key_rows(parts, objects, warnings)
    if not rows and not any(editable(part.obj.data.shape_keys) for part in parts):
        raise FacescriptError(
            "linked",
            f"The shape keys of {parts[0].obj.name!r} are linked from another file and cannot be animated here.",
            "Make the object's mesh local, or make a library override of the mesh too, not only of the object.",
        )
    if not rows:
        raise FacescriptError(
            "driven_keys",
            f"All facial shape keys of {parts[0].obj.name!r} are driven by drivers, and no control of them was found.",
            "Remove the drivers, or use a copy of the face without its control rig.",
        )
    keyed = {row.object for row in rows if row.kind == "KEY"}
    _refuse_absolute(part.obj for part in parts if ObjectRef.of(part.obj) in keyed)
    profile = parts[0].match.profile
    face = geometry.join(part.face for part in parts)
    members = [part.obj for part in parts]
    rows += controls.head_rows(members, face, profile, warnings)
    shown = {row.channel for row in rows}
    if shown.isdisjoint(EYE_LOOKS):
        # The two say the same thing: eye bones only where no shape turns the eyes. Keys that eye bones drive follow.
        rows += controls.eye_rows(members, profile, warnings)
    rows += controls.jaw_rows(members, face, profile, [c for c in BLEND_SHAPES if c not in shown], warnings)
    meshes = tuple(_mesh_keys(part) for part in shown_parts)
    return _make(members, meshes, face, Mapping(profile.id, tuple(rows)), warnings)


def _as_stored(members: list[Any], parts: tuple[FaceMesh, ...], mapping: Mapping) -> Target:
    """The target of a mapping that is kept with the character."""
    warnings: list[str] = []
    rows = [row for row in mapping.rows if _is_there(row, warnings)]
    if not rows:
        raise FacescriptError(
            "empty_mapping",
            f"The mapping of {members[0].name!r} has no row that can be written.",
            "Add rows to the mapping, or go back to the automatic one.",
        )
    keys: dict[ObjectRef, list[tuple[str, str]]] = {}
    for row in rows:
        if row.kind == "KEY":
            keys.setdefault(row.object, []).append((row.channel, row.name))
    found = {ref: ref.find() for ref in keys}
    _refuse_absolute(found.values())
    known = {ObjectRef.of(part.obj): part for part in parts}
    meshes = tuple(_mesh_keys(part) for part in parts)
    meshes += tuple(MeshKeys(ref, tuple(pairs)) for ref, pairs in keys.items() if ref not in known)
    faces = [part.face for part in parts]
    faces += [geometry.measure(found[ref], landmarks(pairs)) for ref, pairs in keys.items() if ref not in known]
    face = geometry.join(faces) if faces else geometry.unmarked(members)
    return _make(members, meshes, face, Mapping(mapping.profile, tuple(rows)), warnings)


def _mesh_keys(part: FaceMesh) -> MeshKeys:
    return MeshKeys(ObjectRef.of(part.obj), tuple((row.channel, row.key) for row in part.match.rows))


def _is_there(row: MapRow, warnings: list[str]) -> bool:
    """Whether what a row leads to is there and can be keyed; if not, a warning says so."""
    says = _obstacle(row)
    if says:
        warnings.append(f"{row.object.name}: {row.name or row.channel} - {says}.")
    return not says


def _obstacle(row: MapRow) -> str:
    """Why a row cannot be written, or ""."""
    try:
        obj = row.object.find()
    except FacescriptError:
        return "the object is not there any more"
    if row.kind == "TURN":
        if row.name and (obj.pose is None or row.name not in obj.pose.bones):
            return "the bone is not there any more"
        return "" if editable(obj) else "linked from another file and left alone"
    place = resolve(obj, row.name, row.index) if row.kind == "PROPERTY" else None
    if row.kind == "KEY" and row.name in key_names(obj):
        place = obj.data.shape_keys, key_path(row.name)
    if place is None:
        return "the number is not there any more" if row.kind == "PROPERTY" else "the shape key is not there any more"
    if not editable(place[0]):
        return "linked from another file and left alone"
    return "driven by a driver and left alone" if (place[1], row.index) in driven_paths(place[0]) else ""


def _key_rows(
    parts: Iterable[FaceMesh], objects: list[Any], warnings: list[str]
) -> tuple[list[MapRow], list[FaceMesh]]:
    """The rows that show the parts' keys, of the keys themselves or of the controls that drive them, and the parts that
    they show or could show, with what to say about the others."""
    # A key that is asked to go back, as a closing mouth asks an opening one, goes the same way back.
    matched = [(part, row, Wanted(part.obj, row.key, abs(row.gain))) for part in parts for row in part.match.rows]
    driven = {part.obj: driven_paths(part.obj.data.shape_keys) for part, _, _ in matched}
    fixed = {part.obj for part, _, _ in matched if not editable(part.obj.data.shape_keys)}
    scene = Drivers(objects)
    found = scene.follow([one for part, row, one in matched if (key_path(row.key), 0) in driven[part.obj]])
    rows: dict[tuple[str, ObjectRef, str, int], MapRow] = {}
    shown: set[tuple[str, Any, str]] = set()
    left: dict[Any, list[MatchedRow]] = {part.obj: [] for part in parts}
    for part, row, one in matched:
        free = (key_path(row.key), 0) not in driven[part.obj]
        if one in found:
            made = _control_row(row, found[one])
        elif free and part.obj not in fixed:
            made = MapRow(row.channel, "KEY", ObjectRef.of(part.obj), row.key, gain=row.gain, confidence=row.confidence)
        else:
            left[part.obj] += [] if free else [row]
            continue
        # One control drives the lids' blink and the lashes'.
        rows.setdefault((made.channel, made.object, made.name, made.index), made)
        shown.add((row.channel, part.obj.data.shape_keys, key_path(row.key)))
    fixed -= {one.object for one in found}
    if fixed:
        names = [part.obj.name for part in parts if part.obj in fixed]
        warnings.append(f"{_list(names)}: linked from another file and left alone.")
    usable = [part for part in parts if part.obj not in fixed]
    for part in usable:
        keys = [row.key for row in left[part.obj] if not _copies(scene.sources(part.obj, row.key), row, shown)]
        if keys:
            warnings.append(f"{part.obj.name}: {_list(keys)} - {'driven by a driver and left alone'}.")
        _tell_ambiguous(part, warnings)
    return list(rows.values()), usable


def _tell_ambiguous(part: FaceMesh, warnings: list[str]) -> None:
    """Say which names could be one shape."""
    used = {row.key for row in part.match.rows}
    for shape_name, rivals in part.match.ambiguous.items():
        taken = next((key for key in rivals if key in used), None)
        says = f"{taken} is used" if taken else "none is used"
        warnings.append(f"{part.obj.name}: {_list(list(rivals))} could all be {shape_name}; {says}.")


def _copies(sources: Iterable[tuple[Any, str]], row: MatchedRow, shown: set[tuple[str, Any, str]]) -> bool:
    """Whether a driven key follows another part's key that shows the same channel."""
    return any((row.channel, block, path) in shown for block, path in sources)


def _control_row(row: MatchedRow, control: Control) -> MapRow:
    return MapRow(
        row.channel,
        "PROPERTY",
        ObjectRef.of(control.object),
        control.name,
        control.index,
        gain=math.copysign(control.gain, control.gain * row.gain),
        offset=control.rest,
        low=control.low,
        high=control.high,
        confidence=row.confidence * _FOLLOWED,
    )


def _tell_unseen(mesh: Any, keys: list[Number], warnings: list[str]) -> None:
    """Say what keeps a mesh's animated keys from being seen in full."""
    muted, narrow = [], []
    for number in keys:
        block = mesh.data.shape_keys.key_blocks[number.name]
        # What keeps the lips closed over an open jaw only takes back what the jaw does.
        shut = ("mouthClose",) if "jawOpen" in number.channels else ()
        gains = [0.0, *(gain for channel, gain in number.parts if channel not in shut)]
        ends = [min(max(number.offset + end, number.low), number.high) for end in (min(gains), max(gains))]
        muted += [number.name] if block.mute else []
        if not (block.slider_min <= ends[0] + 1e-6 and block.slider_max >= ends[1] - 1e-6):
            narrow.append(number.name)
    for names, says in (
        (muted, "muted, so nothing of them is seen"),
        (narrow, "limited by their range, so values are cut off"),
    ):
        if names:
            warnings.append(f"{mesh.name}: {_list(names)} - {says}.")
    if mesh.data.users - int(mesh.data.use_fake_user) > 1:
        warnings.append(f"{mesh.name}: its mesh is used by other objects too, which move with it.")
    if mesh.show_only_shape_key:
        warnings.append(f"{mesh.name}: one shape key is pinned, so no animation of them is seen. Unpin it.")


def _refuse_absolute(meshes: Iterable[Any]) -> None:
    for obj in meshes:
        if not obj.data.shape_keys.use_relative:
            raise FacescriptError(
                "absolute_keys", f"The shape keys of {obj.name!r} are absolute.", "Turn Relative on in Shape Keys."
            )


def _list(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _owner(meshes: list[Any], mapping: Mapping, rig: Any) -> ObjectRef:
    """The object that a face's settings are kept on: its first mesh, its rig if it has none; where that is another
    file's, the first of its objects that is not."""
    candidates = [*meshes[:1], rig, *(row.object.find() for row in mapping.rows if row.kind != "KEY"), *meshes[1:]]
    return ObjectRef.of(next((obj for obj in candidates if editable(obj)), candidates[0]))


def _make(
    members: list[Any], meshes: tuple[MeshKeys, ...], face: geometry.Face, mapping: Mapping, warnings: list[str]
) -> Target:
    found = numbers(mapping.rows)
    by_mesh: dict[ObjectRef, list[Number]] = {}
    for number in found:
        if number.kind == "KEY":
            by_mesh.setdefault(number.object, []).append(number)
    for mesh in meshes:
        _tell_unseen(mesh.object.find(), by_mesh.get(mesh.object, []), warnings)
    shown = {row.channel for row in mapping.rows if row.gain != 0.0}
    missing = [c.name for c in CHANNELS if c.name not in shown]
    if shown & set(EYE_LOOKS):
        missing = [c for c in missing if c not in EYE_ANGLES]
    elif shown & set(EYE_ANGLES):
        missing = [c for c in missing if c not in EYE_LOOKS]
    rig = next((r for r in map(rig_of, members) if r is not None), None)
    return Target(
        name=(rig or root_of(members[0])).name,
        profile=mapping.profile,
        mapping=mapping,
        owner=_owner([mesh.object.find() for mesh in meshes], mapping, rig or members[0]),
        meshes=meshes,
        numbers=found,
        turns=controls.find_turns(mapping.rows, face),
        covered=tuple(c.name for c in CHANNELS if c.name in shown),
        missing=tuple(missing),
        warnings=tuple(warnings),
    )
