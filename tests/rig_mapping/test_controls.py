# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads and eyes, tested by where in the world they look after writing, not by stored numbers."""

from __future__ import annotations

import math
from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
import pytest
from facescript.performance import BLEND_SHAPES
from facescript.rig_mapping import rotations, timeline
from facescript.rig_mapping.targets import Target, find_target
from hypothesis import given
from hypothesis import strategies as st
from made_performances import performance
from mathutils import Euler, Matrix, Vector

NO_LOOKS = [n for n in BLEND_SHAPES if "Look" not in n]
BONE_MODES = ("QUATERNION", "XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX", "AXIS_ANGLE")
# Where the character stands: turned, large, mirrored.
WORLDS = {
    "facing -Y": Matrix.Identity(4),
    "facing +X": Matrix.Rotation(math.radians(90), 4, "Z"),
    "facing +Y": Matrix.Rotation(math.radians(180), 4, "Z"),
    "lying": Matrix.Rotation(math.radians(-90), 4, "X"),
    "large": Matrix.Translation((3, 1, 0)) @ Matrix.Scale(2.5, 4),
    "mirrored": Matrix.Scale(-1, 4, Vector((1, 0, 0))),
}
LEFT, UP, FORWARD = Vector((1, 0, 0)), Vector((0, 0, 1)), Vector((0, -1, 0))


def rig(world: Matrix, roll: float, mode: str, eyes: bool = False) -> tuple[Any, Any, Target]:
    bones = {
        "spine": ((0, 0, -0.6), (0, 0.05, -0.15), 0.3),
        "head": ((0, 0.0, -0.15), (0.02, 0.03, 0.1), roll),
    }
    if eyes:
        # Eye bones that point ahead, as most do, and one that points up.
        bones |= {"eye.L": ((0.03, -0.05, 0.05), (0.03, -0.1, 0.05), roll)}
        bones |= {"eye.R": ((-0.03, -0.05, 0.05), (-0.03, -0.05, 0.1), -roll)}
    arm = rigs.armature(bones)
    for bone in arm.pose.bones:
        bone.rotation_mode = mode
    mesh = rigs.face(keys=NO_LOOKS if eyes else BLEND_SHAPES)
    rigs.bind(mesh, arm)
    arm.matrix_world = world
    bpy.context.view_layer.update()
    return arm, mesh, find_target(mesh)


def turn_of_bone(arm: Any, bone: str, frame: int) -> Matrix:
    """What a bone did to the world since rest."""
    bpy.context.scene.frame_set(frame)
    evaluated = arm.evaluated_get(bpy.context.evaluated_depsgraph_get())
    rest = arm.matrix_world @ arm.data.bones[bone].matrix_local
    return (evaluated.matrix_world @ evaluated.pose.bones[bone].matrix @ rest.inverted()).to_3x3()


def towards(world: Matrix, one: Vector, other: Vector, degrees: float) -> Vector:
    """In the world, the character's direction `one` turned towards `other`."""
    a, b = ((world.to_3x3() @ v).normalized() for v in (one, other))
    return math.cos(math.radians(degrees)) * a + math.sin(math.radians(degrees)) * b


def close(a: Vector, b: Vector) -> bool:
    return (a.normalized() - b.normalized()).length < 2e-3


STORY = performance((0.0, {}), (1.0, {"headYaw": 1.0}), (2.0, {"headPitch": 0.5}), (3.0, {"headRoll": -0.4}), (4.0, {}))


@pytest.mark.parametrize("where", WORLDS)
@pytest.mark.parametrize("roll", [0.0, 1.1, math.pi])
@pytest.mark.parametrize("mode", BONE_MODES)
def test_a_head_bone_turns_left_up_and_to_its_shoulder(mode: str, roll: float, where: str) -> None:
    world = WORLDS[where]
    arm, _mesh, target = rig(world, roll, mode)
    assert [c.bone for c in target.head] == ["head"]
    timeline.write(target, STORY, start_frame=1, fps=24.0)
    ahead = (world.to_3x3() @ FORWARD).normalized()
    crown = (world.to_3x3() @ UP).normalized()
    assert close(turn_of_bone(arm, "head", 1) @ ahead, ahead)
    assert close(turn_of_bone(arm, "head", 25) @ ahead, towards(world, FORWARD, LEFT, 45.0))
    assert close(turn_of_bone(arm, "head", 49) @ ahead, towards(world, FORWARD, UP, 22.5))
    assert close(turn_of_bone(arm, "head", 73) @ crown, towards(world, UP, LEFT, -18.0))
    assert close(turn_of_bone(arm, "head", 97) @ ahead, ahead)
    for frame, keyframe in zip((1, 25, 49, 73, 97), STORY.keyframes, strict=True):
        read = timeline.read_pose(target, frame)
        np.testing.assert_allclose(read.values, keyframe.pose.values, atol=1e-4)


@pytest.mark.parametrize("roll", [0.0, 0.7])
@pytest.mark.parametrize("where", ["facing +X", "mirrored"])
def test_eye_bones_turn_where_the_gaze_goes(where: str, roll: float) -> None:
    world = WORLDS[where]
    arm, _mesh, target = rig(world, roll, "QUATERNION", eyes=True)
    assert [c.bone for c in target.eyes] == ["eye.L", "eye.R"]
    assert target.missing == ()
    # Only the shapes' way of saying it, and only the angles' way.
    for story in (
        performance((0.0, {}), (1.0, {"gazeLeft": 1.0}), (2.0, {"gazeUp": 0.5})),
        performance(
            (0.0, {}),
            (1.0, {"leftEyeYaw": 1, "rightEyeYaw": 1}),
            (2.0, {"leftEyePitch": 0.5, "rightEyePitch": 0.5}),
        ),
    ):
        timeline.write(target, story, start_frame=1, fps=24.0)
        ahead = (world.to_3x3() @ FORWARD).normalized()
        for bone in ("eye.L", "eye.R"):
            assert close(turn_of_bone(arm, bone, 25) @ ahead, towards(world, FORWARD, LEFT, 35.0))
            assert close(turn_of_bone(arm, bone, 49) @ ahead, towards(world, FORWARD, UP, 17.5))


def test_eye_shapes_are_used_rather_than_eye_bones() -> None:
    arm = rigs.armature({"head": ((0, 0, 0), (0, 0, 0.1), 0), "eye.L": ((0, 0, 0), (0, -0.1, 0), 0)})
    mesh = rigs.face()
    rigs.bind(mesh, arm)
    target = find_target(mesh)
    assert target.eyes == ()
    timeline.write(target, performance((0.0, {}), (1.0, {"leftEyeYaw": -0.5})), start_frame=1, fps=24.0)
    assert timeline.read_pose(target, 25)["eyeLookInLeft"] == pytest.approx(0.5)
    assert arm.animation_data is None


@pytest.mark.parametrize("mode", ["XYZ", "ZYX", "QUATERNION"])
@pytest.mark.parametrize("own", [(0.0, 0.0, 0.0), (0.3, -0.2, 2.0)])
def test_an_object_turns_as_a_head_and_keeps_its_own_rotation(own: tuple[float, ...], mode: str) -> None:
    obj = rigs.face()
    obj.rotation_mode = mode
    turned = Euler(own).to_matrix()
    if mode == "QUATERNION":
        obj.rotation_quaternion = turned.to_quaternion()
    else:
        obj.rotation_euler = turned.to_euler(mode)
    bpy.context.view_layer.update()
    before = obj.matrix_world.copy()
    target = find_target(obj)
    timeline.write(target, STORY, start_frame=1, fps=24.0)
    for frame, one, other, angle in ((25, FORWARD, LEFT, 45), (49, FORWARD, UP, 22.5), (73, UP, LEFT, -18)):
        bpy.context.scene.frame_set(frame)
        assert close(obj.matrix_world.to_3x3() @ one, towards(before, one, other, angle))
    bpy.context.scene.frame_set(97)
    assert close(obj.matrix_world.to_3x3() @ FORWARD, before.to_3x3() @ FORWARD)
    if mode != "QUATERNION":
        assert np.allclose(obj.rotation_euler, turned.to_euler(mode))


def test_a_head_on_a_turning_object_nods_in_its_own_frame() -> None:
    obj = rigs.face()
    for frame, angle in ((1, 0.0), (49, math.pi)):
        obj.rotation_euler = (0, 0, angle)
        obj.keyframe_insert("rotation_euler", frame=frame)
    bpy.context.scene.frame_set(1)
    target = find_target(obj)
    timeline.write(target, performance((0.0, {}), (2.0, {"headPitch": 1.0})), start_frame=1, fps=24.0)
    bpy.context.scene.frame_set(49)
    ahead = obj.matrix_world.to_3x3() @ FORWARD
    assert close(ahead, Vector((0.0, 1.0, 1.0)))
    assert timeline.read_pose(target, 49)["headPitch"] == pytest.approx(1.0, abs=1e-4)


def test_a_pose_of_the_head_is_what_turns_are_added_to() -> None:
    arm, _mesh, target = rig(Matrix.Identity(4), 0.4, "QUATERNION")
    arm.pose.bones["head"].rotation_quaternion = Euler((0.2, 0.1, 0.0)).to_quaternion()
    bpy.context.view_layer.update()
    before = turn_of_bone(arm, "head", 1)
    for _ in range(2):  # writing again adds nothing
        timeline.write(target, performance((0.0, {}), (1.0, {"headYaw": 0.5})), start_frame=1, fps=24.0)
    assert close(turn_of_bone(arm, "head", 1) @ FORWARD, before @ FORWARD)
    assert timeline.read_pose(target, 25)["headYaw"] == pytest.approx(0.5, abs=1e-4)
    timeline.clear(target)
    assert close(turn_of_bone(arm, "head", 1) @ FORWARD, before @ FORWARD)


def test_a_body_and_a_far_origin_are_not_turned() -> None:
    assert find_target(rigs.face("Body", tall=1.6)).head == ()
    (far,) = rigs.head(drop=0.0)
    target = find_target(far)
    assert target.head == ()
    assert "headYaw" in target.missing
    assert any("Head angles are left out" in w for w in target.warnings)


def head_warning(obj: Any) -> str:
    target = find_target(obj)
    assert target.head == ()
    (warning,) = [w for w in target.warnings if w.startswith("Head angles are left out: ")]
    return warning


def test_an_origin_outside_the_head_is_named_and_setting_it_helps() -> None:
    (obj,) = rigs.head(drop=0.0)
    warning = head_warning(obj)
    assert "origin of 'Head' is not inside the head" in warning
    assert "Object > Set Origin > Origin to Geometry" in warning
    obj.select_set(True)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.origin_set(type="ORIGIN_GEOMETRY")
    target = find_target(obj)
    assert [c.object.name for c in target.head] == ["Head"]
    assert target.warnings == ()


def test_the_parts_of_a_head_are_told_how_to_turn_as_one() -> None:
    parts = rigs.head(split=True, drop=0.0)
    assert "is not inside the head. Put the 3D cursor" in head_warning(parts[0])
    root = bpy.data.objects.new("Root", None)  # at the feet
    bpy.context.scene.collection.objects.link(root)
    for part in parts:
        part.parent = root
        part.select_set(True)
    bpy.context.view_layer.objects.active = parts[0]
    bpy.ops.object.origin_set(type="ORIGIN_GEOMETRY")
    assert "its objects have different origins. Put the 3D cursor" in head_warning(parts[0])
    bpy.context.scene.cursor.location = (0.0, 0.0, 0.7)
    bpy.ops.object.origin_set(type="ORIGIN_CURSOR")
    assert len(find_target(parts[0]).head) == 5


def test_why_an_object_is_not_turned_is_told() -> None:
    assert "'Body' is a whole body" in head_warning(rigs.face("Body", tall=1.6))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    obj = rigs.face()
    obj.rotation_mode = "AXIS_ANGLE"
    assert "rotation mode of 'Face' is Axis Angle" in head_warning(obj)
    obj.rotation_mode = "XYZ"
    obj.driver_add("delta_rotation_euler", 0)
    assert "a driver turns 'Face'" in head_warning(obj)


def test_an_armature_without_a_head_bone_is_named() -> None:
    arm = rigs.armature({"spine": ((0, 0, -1), (0, 0, 0), 0)})
    mesh = rigs.face(tall=1.6)
    rigs.bind(mesh, arm)
    warning = head_warning(mesh)
    assert "armature 'Rig' has no head bone that can be turned" in warning
    assert "A bone that is named 'head'" in warning


def test_the_common_parent_turns_the_head() -> None:
    parent = bpy.data.objects.new("Head control", None)
    bpy.context.scene.collection.objects.link(parent)
    for obj in (rigs.face("Head"), rigs.face("Teeth", keys=["jawOpen"])):
        obj.parent = parent
    (control,) = find_target(parent).head
    assert control.object.name == "Head control"


@pytest.mark.parametrize(
    "name", ["Head", "mixamorig:Head", "mixamorig7:Head", "c_head.x", "CC_Base_Head", "J_Bip_C_Head"]
)
def test_head_bones_of_many_rigs(name: str) -> None:
    arm = rigs.armature(
        {
            "Hips": ((0, 0, -1), (0, 0, 0), 0),
            "HeadTop_End": ((0, 0, 1), (0, 0, 2), 0),
            name: ((0, 0, 0), (0, 0, 1), 0),
        }
    )
    mesh = rigs.face()
    rigs.bind(mesh, arm)
    assert [c.bone for c in find_target(mesh).head] == [name]


def test_a_constrained_bone_gives_way_to_its_control() -> None:
    arm = rigs.armature({"DEF-head": ((0, 0, 0), (0, 0, 1), 0), "head": ((0, 0, 0), (0, 0, 1), 0)})
    mesh = rigs.face()
    rigs.bind(mesh, arm)
    assert find_target(mesh).head[0].bone == "head"
    arm.pose.bones["head"].constraints.new("COPY_ROTATION")
    assert find_target(mesh).head[0].bone == "DEF-head"
    arm.pose.bones["DEF-head"].constraints.new("COPY_TRANSFORMS")
    target = find_target(mesh)
    assert all(c.bone == "" for c in target.head)
    assert any("constraint" in w for w in target.warnings)


_ANGLE = st.floats(-1.2, 1.2)


@given(_ANGLE, _ANGLE, _ANGLE, st.booleans())
def test_angles_and_rotations_are_inverse(yaw: float, pitch: float, roll: float, mirrored: bool) -> None:
    axes = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]) @ np.diag(
        [-1.0 if mirrored else 1.0, 1.0, 1.0]
    )
    rotation = rotations.matrices([[yaw, pitch, roll]], axes)[0]
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert rotations.angles(rotation, axes) == pytest.approx((yaw, pitch, roll), abs=1e-9)
