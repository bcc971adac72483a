# SPDX-License-Identifier: GPL-3.0-or-later
"""What turns a head and its eyes: a bone, or the object, in any rotation mode and however it is rolled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Matrix, Quaternion, Vector

from ..performance import HEAD_CHANNELS
from . import geometry, rotations
from .characters import rig_of
from .profiles import Profile
from .references import ObjectRef, driven_paths, editable

Array = geometry.Array

# A mesh this many times as tall as its face is a body: turning it would turn the whole character.
_BODY = 2.5
# A head turns about a point no farther from its box than this many of its heights.
_PIVOT = 0.5
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
class RotationControl:
    """A bone (or, if `bone` is empty, an object) that turns by three channels: yaw, pitch, roll.

    `axes`: the character's left, up and forward, row after row of a (3, 3) matrix with them as columns, in the
    space of the armature, or of the object itself. `full_angle` in radians for a coefficient of 1.
    """

    object: ObjectRef
    bone: str
    channels: tuple[str, str, str]
    axes: tuple[float, ...]
    full_angle: float

    @property
    def axes_matrix(self) -> Array:
        """The axes, shape (3, 3)."""
        return np.array(self.axes).reshape(3, 3)

    def turns(self, coefficients: Array) -> Array:
        """The turns from rest, (N, 3, 3) in the axes' space, for coefficients of yaw, pitch and roll (N, 3)."""
        return rotations.matrices(coefficients * self.full_angle, self.axes_matrix)

    def coefficients(self, turn: Array) -> tuple[float, float, float]:
        """Yaw, pitch and roll of one turn (3, 3): the inverse of `turns`."""
        yaw, pitch, roll = rotations.angles(turn, self.axes_matrix)
        return yaw / self.full_angle, pitch / self.full_angle, roll / self.full_angle


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


def find_head(
    members: list[Any], face: geometry.Face, profile: Profile, warnings: list[str]
) -> tuple[RotationControl, ...]:
    """The head's bone, else the object (or objects) that may be turned as a head; empty, with a warning, if none."""
    angle = math.radians(profile.full_angles["head"])
    channels = (HEAD_CHANNELS[0], HEAD_CHANNELS[1], HEAD_CHANNELS[2])
    rig = next((r for r in map(rig_of, members) if r is not None), None)
    if rig is not None:
        bone = _find_bone(rig, profile.bones["head"], warnings)
        if bone:
            return (_control(rig, bone, channels, face, angle),)
    why, remedy = "its objects have different origins", _CURSOR
    for objects in _head_objects(members, rig):
        obstacle = next(filter(None, (_obstacle(obj, face, members) for obj in objects)), None)
        if obstacle is None:
            return tuple(_control(obj, "", channels, face, angle) for obj in objects)
        if rig is not None or objects[0] in members:  # what holds for a parent is no advice on the face
            why, remedy = obstacle
            if len(objects) > 1 and remedy == _ORIGIN:
                remedy = _CURSOR
    if rig is not None:
        why = f"the armature {rig.name!r} has no head bone that can be turned, and {why}"
        remedy = _BONE if editable(rig) else remedy
    warnings.append(f"Head angles are left out: {why}. {remedy}")
    return ()


def find_eyes(
    members: list[Any], face: geometry.Face, profile: Profile, warnings: list[str]
) -> tuple[RotationControl, ...]:
    """Both eyes' bones, or none."""
    rig = next((r for r in map(rig_of, members) if r is not None), None)
    if rig is None:
        return ()
    left, right = (_find_bone(rig, profile.bones[f"{side}_eye"], warnings) for side in ("left", "right"))
    if not left or not right:
        return ()
    angle = math.radians(profile.full_angles["eye"])
    return (
        _control(rig, left, ("leftEyeYaw", "leftEyePitch", "leftEyeRoll"), face, angle),
        _control(rig, right, ("rightEyeYaw", "rightEyePitch", "rightEyeRoll"), face, angle),
    )


def _control(obj: Any, bone: str, channels: tuple[str, str, str], face: geometry.Face, angle: float) -> RotationControl:
    world = np.array(obj.matrix_world)[:3, :3]
    # Blender's habit, for faces that do not tell: forward is -Y, up is Z, in the object's own space.
    habit = world @ np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    habit = habit / np.linalg.norm(habit, axis=0)
    axes = geometry.local_axes(geometry.world_axes(face, habit), world)
    return RotationControl(ObjectRef.of(obj), bone, channels, tuple(float(v) for v in axes.ravel()), angle)


def _find_bone(rig: Any, names: Sequence[str], warnings: list[str]) -> str:
    """The best named bone that a key can turn, or ""."""
    by_name: dict[str, str] = {}
    for bone in rig.pose.bones:
        # mixamorig:Head, mixamorig9:Head: what stands before the colon is a namespace.
        by_name.setdefault(bone.name.rsplit(":", 1)[-1], bone.name)
    by_name.update({bone.name: bone.name for bone in rig.pose.bones})
    found = [by_name[name] for name in names if name in by_name]
    if not found:
        return ""
    if not editable(rig):
        warnings.append(f"{rig.name}: linked from another file, so its bones are left alone.")
        return ""
    driven = {path for path, _ in driven_paths(rig)}
    for name in found:
        bone = rig.pose.bones[name]
        path = bone_path(name, rotation_property(bone.rotation_mode, delta=False)[0])
        held = any(c.type in _ROTATES and not c.mute and c.influence > 0.0 for c in bone.constraints)
        if path not in driven and not held:
            return name
    warnings.append(f"{rig.name}: the bone {found[0]!r} is turned by a constraint or a driver and left alone.")
    return ""


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
