# SPDX-License-Identifier: GPL-3.0-or-later
"""What turns a head, its eyes and its jaw: bones, or the object, in any rotation mode and however they are rolled."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Matrix, Quaternion, Vector

from ..performance import HEAD_CHANNELS
from . import geometry, rotations
from .characters import rig_of
from .mapping import PITCH, YAW, MapRow
from .profiles import Profile
from .references import ObjectRef, driven_paths, editable

Array = geometry.Array

# A mesh this many times as tall as its face is a body: turning it would turn the whole character.
_BODY = 2.5
# A head turns about a point no farther from its box than this many of its heights.
_PIVOT = 0.5
# The neck's share of the head's turns. Bones below it bend too, but seldom have keys of their own on a face.
_NECK = 0.4
# A jaw goes aside by this much of its opening angle, and forward by this much of the face's height: guesses by eye.
_JAW_ASIDE = 0.3
_JAW_FORWARD = 0.04
_GUESS = 0.6
_ROTATES = (
    "COPY_ROTATION",
    "COPY_TRANSFORMS",
    "DAMPED_TRACK",
    "LOCKED_TRACK",
    "TRACK_TO",
    "CHILD_OF",
    "IK",
    "ARMATURE",
)


# What lets a head turn, for the user.
_ORIGIN = "Object > Set Origin > Origin to Geometry lets it turn."
_CURSOR = (
    "Put the 3D cursor inside the head, select all its objects, and Object > Set Origin > Origin to 3D Cursor lets "
    "them turn as one."
)
_BONE = "A bone that is named 'head' and has no constraint or driver lets it turn."


@dataclass(frozen=True)
class Turn:
    """A bone (or, if `bone` is empty, an object) that channels turn.

    `parts` are (channel, `YAW`, `PITCH` or `ROLL`, degrees for a coefficient of 1). `axes`: the character's left, up
    and forward, row after row of a (3, 3) matrix with them as columns, in the space of the armature, or of the object
    itself. `above` is the next bone above that the same channels turn, such as a head's neck: the two share a turn, so
    that the lower one ends up turned by the angles of both.
    """

    object: ObjectRef
    bone: str
    parts: tuple[tuple[str, int, float], ...]
    axes: tuple[float, ...]
    above: Turn | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """All channels that it shows, those of the bones above that it shares a turn with among them."""
        own = [channel for channel, _, _ in self.parts]
        return tuple(dict.fromkeys((*(self.above.channels if self.above else ()), *own)))

    @property
    def gains(self) -> Array:
        """Radians of yaw, pitch and roll, shared ones included, for a coefficient of 1 of each of `channels`:
        (3, channels)."""
        channels = self.channels
        table = np.zeros((3, len(channels)))
        if self.above:
            table[:, : len(self.above.channels)] = self.above.gains
        for channel, axis, degrees in self.parts:
            table[axis, channels.index(channel)] += math.radians(degrees)
        return table

    @property
    def axes_matrix(self) -> Array:
        """The axes, shape (3, 3)."""
        return np.array(self.axes).reshape(3, 3)

    def turns(self, coefficients: Array) -> Array:
        """The whole turns from rest, (N, 3, 3) in the axes' space, for coefficients (N, channels) of `channels`."""
        return rotations.matrices(coefficients @ self.gains.T, self.axes_matrix)

    def shared(self, coefficients: Array) -> Array:
        """The part of `turns` that the bones above take over: (N, 3, 3), or (1, 3, 3) if there are none."""
        if self.above is None:
            return np.eye(3)[None]
        return self.above.turns(coefficients[:, : len(self.above.channels)])

    def angles(self, turn: Array) -> tuple[float, float, float]:
        """Yaw, pitch and roll in radians of one whole turn (3, 3)."""
        return rotations.angles(turn, self.axes_matrix)


def rotation_property(mode: str, delta: bool) -> tuple[str, int]:
    """The property that holds a rotation in a rotation mode, and its width; `delta` for an object's own addition."""
    prefix = "delta_" if delta else ""
    if mode == "QUATERNION":
        return f"{prefix}rotation_quaternion", 4
    if mode == "AXIS_ANGLE":
        return f"{prefix}rotation_axis_angle", 4
    return f"{prefix}rotation_euler", 3


def to_matrix(values: Sequence[float], mode: str) -> Matrix:
    """The 3x3 rotation of a property's values in a rotation mode."""
    if mode == "QUATERNION":
        return Quaternion(values).normalized().to_matrix()
    if mode == "AXIS_ANGLE":
        axis = values[1:4]
        return Matrix.Rotation(values[0], 3, axis) if any(axis) else Matrix.Identity(3)
    return Euler(values, mode).to_matrix()


def from_matrix(matrix: Matrix, mode: str, near: Sequence[float] | None) -> list[float]:
    """A rotation as a property's values, nearest to the key before (`near`) among those that mean the same."""
    if mode == "QUATERNION":
        quaternion = matrix.to_quaternion().normalized()
        if near is not None and quaternion.dot(Quaternion(near)) < 0.0:
            quaternion.negate()
        return [quaternion.w, quaternion.x, quaternion.y, quaternion.z]
    if mode == "AXIS_ANGLE":
        axis, angle = matrix.to_quaternion().normalized().to_axis_angle()
        if abs(angle) < 1e-6:
            # No turn has no axis: keep the last one, so that the way there does not wander.
            return [0.0, *(near[1:4] if near is not None else (0.0, 1.0, 0.0))]
        sign = -1.0 if near is not None and axis.dot(Vector(near[1:4])) < 0.0 else 1.0
        return [sign * angle, sign * axis.x, sign * axis.y, sign * axis.z]
    euler = matrix.to_euler(mode) if near is None else matrix.to_euler(mode, Euler(near, mode))
    return [euler.x, euler.y, euler.z]


def head_rows(members: list[Any], face: geometry.Face, profile: Profile, warnings: list[str]) -> tuple[MapRow, ...]:
    """The rows of the head's bone, with its neck's if that is free, else of the object (or objects) that may be turned
    as a head; empty, with a warning, if there is none."""
    angle = profile.full_angles["head"]
    rig = next((r for r in map(rig_of, members) if r is not None), None)
    if rig is not None:
        bone = _find_bone(rig, profile.bones["head"], warnings)
        neck = _find_neck(rig, bone, profile.bones["neck"]) if bone else ""
        if neck:
            return (
                *_rows(rig, neck, HEAD_CHANNELS, _NECK * angle),
                *_rows(rig, bone, HEAD_CHANNELS, (1.0 - _NECK) * angle),
            )
        if bone:
            return _rows(rig, bone, HEAD_CHANNELS, angle)
    why, remedy = "its objects have different origins", _CURSOR
    for objects in _head_objects(members, rig):
        obstacle = next(filter(None, (_obstacle(obj, face, members) for obj in objects)), None)
        if obstacle is None:
            return tuple(row for obj in objects for row in _rows(obj, "", HEAD_CHANNELS, angle))
        if rig is not None or objects[0] in members:  # what holds for a parent is no advice on the face
            why, remedy = obstacle
            if len(objects) > 1 and remedy == _ORIGIN:
                remedy = _CURSOR
    if rig is not None:
        why = f"the armature {rig.name!r} has no head bone that can be turned, and {why}"
        remedy = _BONE if editable(rig) else remedy
    warnings.append(f"Head angles are left out: {why}. {remedy}")
    return ()


def eye_rows(members: list[Any], profile: Profile, warnings: list[str]) -> tuple[MapRow, ...]:
    """The rows of both eyes' bones, or none."""
    rig = next((r for r in map(rig_of, members) if r is not None), None)
    if rig is None:
        return ()
    left, right = (_find_bone(rig, profile.bones[f"{side}_eye"], warnings) for side in ("left", "right"))
    if not left or not right:
        return ()
    angle = profile.full_angles["eye"]
    return (
        *_rows(rig, left, ("leftEyeYaw", "leftEyePitch", "leftEyeRoll"), angle),
        *_rows(rig, right, ("rightEyeYaw", "rightEyePitch", "rightEyeRoll"), angle),
    )


def jaw_rows(
    members: list[Any], face: geometry.Face, profile: Profile, wanted: Collection[str], warnings: list[str]
) -> tuple[MapRow, ...]:
    """The rows of the jaw's bone for those of the channels `wanted` that it can show; none without `jawOpen`."""
    rig = next((r for r in map(rig_of, members) if r is not None), None)
    if rig is None or "jawOpen" not in wanted:
        return ()
    bone = _find_bone(rig, profile.bones["jaw"], warnings)
    if not bone:
        return ()
    ref, angle = ObjectRef.of(rig), profile.full_angles["jaw"]
    rows = [MapRow("jawOpen", "TURN", ref, bone, PITCH, -angle)]
    if "jawLeft" in wanted and "jawRight" in wanted:
        rows.append(MapRow("jawLeft", "TURN", ref, bone, YAW, _JAW_ASIDE * angle, confidence=_GUESS))
        rows.append(MapRow("jawRight", "TURN", ref, bone, YAW, -_JAW_ASIDE * angle, confidence=_GUESS))
    if "jawForward" in wanted and not rig.data.bones[bone].use_connect:
        forward = np.array(axes_of(rig, face)).reshape(3, 3)[:, 2]
        scale = float(np.cbrt(abs(np.linalg.det(np.array(rig.matrix_world)[:3, :3])))) or 1.0
        tall = float((face.high - face.low).max()) / scale
        own = np.array(rig.data.bones[bone].matrix_local.to_3x3()).T @ forward * _JAW_FORWARD * tall
        path = bone_path(bone, "location")
        for i, gain in enumerate(own):
            if abs(gain) > 0.01 * _JAW_FORWARD * tall and (path, i) not in driven_paths(rig):
                rows.append(MapRow("jawForward", "PROPERTY", ref, path, i, float(gain), confidence=_GUESS))
    return tuple(rows)


def _rows(obj: Any, bone: str, channels: Sequence[str], degrees: float) -> tuple[MapRow, ...]:
    """Rows of yaw, pitch and roll channels."""
    return tuple(MapRow(c, "TURN", ObjectRef.of(obj), bone, axis, degrees) for axis, c in enumerate(channels))


def find_turns(rows: Iterable[MapRow], face: geometry.Face) -> tuple[Turn, ...]:
    """What rows of the kind TURN turn, bones above before those below. Raises FacescriptError (`target_gone`)."""
    grouped: dict[tuple[ObjectRef, str], list[tuple[str, int, float]]] = {}
    for row in rows:
        if row.kind == "TURN" and row.gain != 0.0:
            grouped.setdefault((row.object, row.name), []).append((row.channel, row.index, row.gain))
    found: dict[tuple[ObjectRef, str], Turn] = {}
    depths = {place: _depth(*place) for place in grouped}
    for ref, bone in sorted(grouped, key=lambda place: depths[place]):
        parts = tuple(grouped[ref, bone])
        obj = ref.find()
        above = _above(obj, bone, {c for c, _, _ in parts}, {b: t for (r, b), t in found.items() if r == ref})
        found[ref, bone] = Turn(ref, bone, parts, axes_of(obj, face), above)
    return tuple(found[place] for place in sorted(found, key=lambda place: depths[place]))


def _depth(ref: ObjectRef, bone: str) -> int:
    return len(ref.find().data.bones[bone].parent_recursive) if bone else -1


def _above(rig: Any, bone: str, channels: set[str], turns: Mapping[str, Turn]) -> Turn | None:
    """The next of the turned bones above that shares channels and carries the bone along with its turn."""
    for one in _carriers(rig, bone) if bone else ():
        if one in turns and channels & set(turns[one].channels):
            return turns[one]
    return None


def _carriers(rig: Any, bone: str) -> Iterator[str]:
    """The bones above, nearest first, as far as their turns come through to the bone as they are."""
    one = rig.data.bones[bone]
    while one.parent is not None and one.use_inherit_rotation and (one.name == bone or not _held(rig, one.name)):
        one = one.parent
        yield one.name


def axes_of(obj: Any, face: geometry.Face) -> tuple[float, ...]:
    """The character's axes in an object's own space, as `Turn` has them."""
    world = np.array(obj.matrix_world)[:3, :3]
    # Blender's habit, for faces that do not tell: forward is -Y, up is Z, in the object's own space.
    habit = world @ np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    habit = habit / np.linalg.norm(habit, axis=0)
    axes = geometry.local_axes(geometry.world_axes(face, habit), world)
    return tuple(float(v) for v in axes.ravel())


def _named(rig: Any, names: Sequence[str]) -> list[str]:
    """The rig's bones of these names, best first."""
    by_name: dict[str, str] = {}
    for bone in rig.pose.bones:
        # mixamorig:Head, mixamorig9:Head: what stands before the colon is a namespace.
        by_name.setdefault(bone.name.rsplit(":", 1)[-1], bone.name)
    by_name.update({bone.name: bone.name for bone in rig.pose.bones})
    return [by_name[name] for name in names if name in by_name]


def _held(rig: Any, bone: str) -> bool:
    """Whether a constraint turns a bone."""
    constraints = rig.pose.bones[bone].constraints
    return any(c.type in _ROTATES and not c.mute and c.influence > 0.0 for c in constraints)


def _free(rig: Any, bones: Sequence[str]) -> list[str]:
    """Those of the bones that neither a constraint nor a driver turns."""
    driven = {path for path, _ in driven_paths(rig)}
    paths = {b: bone_path(b, rotation_property(rig.pose.bones[b].rotation_mode, delta=False)[0]) for b in bones}
    return [bone for bone in bones if paths[bone] not in driven and not _held(rig, bone)]


def _find_bone(rig: Any, names: Sequence[str], warnings: list[str]) -> str:
    """The best named bone that a key can turn, or ""."""
    found = _named(rig, names)
    if not found:
        return ""
    if not editable(rig):
        warnings.append(f"{rig.name}: linked from another file, so its bones are left alone.")
        return ""
    free = _free(rig, found)
    if free:
        return free[0]
    warnings.append(f"{rig.name}: the bone {found[0]!r} is turned by a constraint or a driver and left alone.")
    return ""


def _find_neck(rig: Any, head: str, names: Sequence[str]) -> str:
    """The best named bone above the head that is free to take a share of its turns and carries it along, or ""."""
    carriers = set(_carriers(rig, head))
    return next((bone for bone in _free(rig, _named(rig, names)) if bone in carriers), "")


def bone_path(bone: str, prop: str) -> str:
    """The data path of a bone's property, from its armature object."""
    return f'pose.bones["{bpy.utils.escape_identifier(bone)}"].{prop}'


def _head_objects(members: list[Any], rig: Any) -> list[list[Any]]:
    """Objects that could be turned as the head, best first."""
    if rig is not None:
        return [[rig]]
    tops = []
    for obj in members:
        while obj.parent in members:
            obj = obj.parent
        if obj not in tops:
            tops.append(obj)
    choices = []
    parents = {top.parent for top in tops}
    parent = next(iter(parents))
    if len(parents) == 1 and parent is not None:
        choices.append([parent])
    origins = np.array([top.matrix_world.translation for top in tops])
    if float(np.ptp(origins, axis=0).max()) < 1e-4:
        choices.append(tops)
    return choices


def _obstacle(obj: Any, face: geometry.Face, members: list[Any]) -> tuple[str, str] | None:
    """Why an object may not be turned as the head, and what helps: a clause and a sentence; None if it may."""
    if not editable(obj):
        return f"{obj.name!r} is linked from another file", "Make the object local, or a library override."
    if obj.rotation_mode == "AXIS_ANGLE":  # which has no delta property
        return f"the rotation mode of {obj.name!r} is Axis Angle", "Any other mode lets it turn."
    prop = rotation_property(obj.rotation_mode, delta=True)[0]
    if any(path == prop for path, _ in driven_paths(obj)):
        return f"a driver turns {obj.name!r} (Delta Rotation)", "Remove the driver to let it turn."
    meshes = [m for m in (obj, *obj.children_recursive) if m.type == "MESH" and not m.hide_render]
    meshes += [m for m in members if m not in meshes]
    boxes = [geometry.box(m) for m in meshes]
    low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
    tallest = float((high - low).max())
    if tallest > _BODY * float((face.high - face.low).max()):
        return f"{obj.name!r} is a whole body, all of which would turn", f"Give it an armature. {_BONE}"
    origin = np.array(obj.matrix_world.translation)
    if np.linalg.norm(origin - np.clip(origin, low, high)) > _PIVOT * tallest:
        return f"the origin of {obj.name!r} is not inside the head", _ORIGIN
    return None
