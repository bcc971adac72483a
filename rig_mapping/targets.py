# SPDX-License-Identifier: GPL-3.0-or-later
"""The face that a performance is written to: one character's meshes with shape keys, its head and its eyes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy

from ..performance import BLEND_SHAPES, CHANNELS, HEAD_CHANNELS, FacescriptError
from . import controls, geometry
from .characters import FaceMesh, Finder, rig_of, root_of
from .controls import RotationControl
from .profiles import DEFAULT, Profile, get
from .references import ObjectRef, driven_paths, editable, key_path

EYE_ANGLES: tuple[str, ...] = tuple(c.name for c in CHANNELS if c.is_angle and c.name not in HEAD_CHANNELS)
EYE_LOOKS: tuple[str, ...] = tuple(name for name in BLEND_SHAPES if name.startswith("eyeLook"))

# What can be selected near a face without meaning it.
_NEVER = ("CAMERA", "LIGHT", "LIGHT_PROBE", "SPEAKER")


@dataclass(frozen=True)
class KeyRow:
    """A channel's part in a shape key: value of `key` = sum of `gain` x coefficient."""

    channel: str
    key: str
    gain: float


@dataclass(frozen=True)
class MeshKeys:
    """A mesh object and the rows of its shape keys that can be animated."""

    object: ObjectRef
    rows: tuple[KeyRow, ...]


@dataclass(frozen=True)
class Target:
    """One character's face, by names: it stays valid through undo, and says so when an object is gone.

    `covered`: the channels that it shows, in order; `missing`: those that nothing on it shows. `head` and `eyes`
    are empty if nothing turns them. `warnings` are sentences for the user.
    """

    name: str
    profile: str
    meshes: tuple[MeshKeys, ...]
    head: tuple[RotationControl, ...]
    eyes: tuple[RotationControl, ...]
    covered: tuple[str, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]


def find_target(obj: Any, profile_id: str = DEFAULT) -> Target:
    """The face of the character that `obj` (a bpy Object, usually the active one, or None) belongs to.

    `obj` is a mesh of the face, another part of the character, its armature, its parent, or an object in its
    collection that touches it. Brings the scene up to date, so do not call it while drawing.
    Raises FacescriptError: `no_object`, `wrong_type`, `no_face`, `no_shape_keys`, `no_arkit_keys`,
    `several_faces`, `linked`, `absolute_keys`, `driven_keys`.
    """
    profile = get(profile_id)
    if obj is None:
        raise FacescriptError("no_object", "No object is selected.", "Click the character's face first.")
    if obj.type in _NEVER:
        kind = obj.type.replace("_", " ").lower()
        raise FacescriptError("wrong_type", f"{obj.name!r} is a {kind}, not a face.", "Select the character's face.")
    context: Any = bpy.context
    context.view_layer.update()
    finder = Finder(_scene_objects(obj), profile)
    seed = finder.face(obj)
    if seed is not None:
        return _make(finder.character(seed), profile)
    characters = finder.related(obj)
    if not characters:
        raise _no_face(obj)
    if len(characters) > 1:
        names = ", ".join(repr(c[0].obj.name) for c in characters[:4])
        raise FacescriptError(
            "several_faces",
            f"{obj.name!r} belongs to {len(characters)} faces: {names}.",
            "Select one of them.",
        )
    return _make(characters[0], profile)


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
        f"None of the {len(names)} shape keys of {obj.name!r} has an ARKit name; it has {shown}.",
        "Name them as ARKit does, such as jawOpen or mouthSmileLeft.",
    )


def _read_mesh(part: FaceMesh, profile: Profile, warnings: list[str]) -> MeshKeys:
    """The rows of one mesh that can be animated, with what to say about the others."""
    data = part.obj.data.shape_keys
    driven = {path for path, _ in driven_paths(data)}
    rows: list[KeyRow] = []
    skipped: list[str] = []
    muted: list[str] = []
    narrow: list[str] = []
    for channel, shapes in profile.channels.items():
        for shape in shapes:
            for key in part.match.keys.get(shape.name, ()):
                block = data.key_blocks[key]
                if key_path(key) in driven:
                    skipped.append(key)
                    continue
                if block.mute:
                    muted.append(key)
                if not (block.slider_min <= 0.0 and block.slider_max >= shape.gain - 1e-6):
                    narrow.append(key)
                rows.append(KeyRow(channel, key, shape.gain))
    name = part.obj.name
    for keys, says in (
        (skipped, "driven by a driver and left alone"),
        (muted, "muted, so nothing of them is seen"),
        (narrow, "limited by their range, so values are cut off"),
    ):
        if keys:
            warnings.append(f"{name}: {_list(keys)} - {says}.")
    if part.obj.data.users - int(part.obj.data.use_fake_user) > 1:
        warnings.append(f"{name}: its mesh is used by other objects too, which move with it.")
    if part.obj.show_only_shape_key:
        warnings.append(f"{name}: one shape key is pinned, so no animation of them is seen. Unpin it.")
    for shape_name, rivals in part.match.ambiguous.items():
        taken = part.match.keys.get(shape_name)
        says = f"{taken[0]} is used" if taken else "none is used"
        warnings.append(f"{name}: {_list(list(rivals))} could all be {shape_name}; {says}.")
    return MeshKeys(ObjectRef.of(part.obj), tuple(rows))


def _list(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _make(parts: tuple[FaceMesh, ...], profile: Profile) -> Target:
    warnings: list[str] = []
    fixed = [p for p in parts if not editable(p.obj.data.shape_keys)]
    if len(fixed) == len(parts):
        raise FacescriptError(
            "linked",
            f"The shape keys of {parts[0].obj.name!r} are linked from another file and cannot be animated here.",
            "Make the object's mesh local, or make a library override of the mesh too, not only of the object.",
        )
    if fixed:
        warnings.append(f"{_list([p.obj.name for p in fixed])}: linked from another file and left alone.")
    usable = [p for p in parts if editable(p.obj.data.shape_keys)]
    absolute = [p.obj.name for p in usable if not p.obj.data.shape_keys.use_relative]
    if absolute:
        raise FacescriptError(
            "absolute_keys",
            f"The shape keys of {absolute[0]!r} are absolute.",
            "Turn Relative on in Shape Keys.",
        )
    meshes = tuple(_read_mesh(p, profile, warnings) for p in usable)
    if not any(m.rows for m in meshes):
        raise FacescriptError(
            "driven_keys",
            f"All facial shape keys of {parts[0].obj.name!r} are driven by drivers.",
            "Remove the drivers, or use a copy of the face without its control rig.",
        )
    shown = {row.channel for m in meshes for row in m.rows}
    face = geometry.join(p.face for p in parts)
    members = [p.obj for p in parts]
    head = controls.find_head(members, face, profile, warnings)
    looks = any(shape in p.match.keys for p in parts for shape in EYE_LOOKS)
    # The two say the same thing: eye bones only where no shape turns the eyes.
    eyes = () if looks else controls.find_eyes(members, face, profile, warnings)
    shown |= {c for control in (*head, *eyes) for c in control.channels}
    missing = [c.name for c in CHANNELS if c.name not in shown]
    if looks:
        missing = [c for c in missing if c not in EYE_ANGLES]
    elif eyes:
        missing = [c for c in missing if c not in EYE_LOOKS]
    rig = rig_of(members[0])
    return Target(
        name=(rig or root_of(members[0])).name,
        profile=profile.id,
        meshes=tuple(m for m in meshes if m.rows),
        head=head,
        eyes=eyes,
        covered=tuple(c.name for c in CHANNELS if c.name in shown),
        missing=tuple(missing),
        warnings=tuple(warnings),
    )
