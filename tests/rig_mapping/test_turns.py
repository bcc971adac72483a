# SPDX-License-Identifier: GPL-3.0-or-later
"""Necks that share a head's turn, jaws and eyes on any armature: tested by where in the world the face looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
import pytest
from amounts import examples
from facescript.performance import BLEND_SHAPES
from facescript.rig_mapping import timeline
from facescript.rig_mapping.mapping import PITCH, YAW, Mapping, MapRow
from facescript.rig_mapping.references import ObjectRef
from facescript.rig_mapping.targets import find_target
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made_performances import performance
from mathutils import Euler, Matrix, Quaternion, Vector

LEFT, UP, FORWARD = Vector((1, 0, 0)), Vector((0, 0, 1)), Vector((0, -1, 0))
_HERE = Matrix()
MODES = ("QUATERNION", "XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX", "AXIS_ANGLE")
NO_JAW = [n for n in BLEND_SHAPES if not n.startswith("jaw") and "Look" not in n]


def rig(
    world: Matrix = _HERE,
    rolls: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
    mode: str = "QUATERNION",
    keys: Sequence[str] = BLEND_SHAPES,
) -> tuple[Any, Any]:
    """An armature with spine, neck, head, jaw and eyes, each bone a child of the one before it that it hangs on, and a
    face bound to it."""
    data = bpy.data.armatures.new("Rig")
    arm = bpy.data.objects.new("Rig", data)
    bpy.context.scene.collection.objects.link(arm)
    bpy.context.view_layer.objects.active = arm
    bpy.ops.object.mode_set(mode="EDIT")
    for name, parent, head, tail, roll in (
        ("spine", None, (0, 0, -0.6), (0, 0.05, -0.3), 0.3),
        ("neck", "spine", (0, 0.05, -0.3), (0, 0.0, -0.15), rolls[0]),
        ("head", "neck", (0, 0.0, -0.15), (0.02, 0.03, 0.1), rolls[1]),
        ("jaw", "head", (0, -0.02, -0.02), (0, -0.1, -0.06), rolls[2]),
        ("eye.L", "head", (0.03, -0.05, 0.05), (0.03, -0.1, 0.05), rolls[3]),
        ("eye.R", "head", (-0.03, -0.05, 0.05), (-0.03, -0.05, 0.1), -rolls[3]),
    ):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail, bone.roll = head, tail, roll
        bone.parent = data.edit_bones[parent] if parent else None
    bpy.ops.object.mode_set(mode="OBJECT")
    for pose in arm.pose.bones:
        pose.rotation_mode = mode
    mesh = rigs.face(keys=keys)
    rigs.bind(mesh, arm)
    arm.matrix_world = world
    bpy.context.view_layer.update()
    return arm, mesh


def moved(arm: Any, bone: str, frame: float) -> Matrix:
    """What a bone does to the world at a frame, from rest: (3, 3), for directions."""
    bpy.context.scene.frame_set(int(frame), subframe=frame % 1.0)
    shown = arm.evaluated_get(bpy.context.evaluated_depsgraph_get())
    rest = arm.matrix_world @ arm.data.bones[bone].matrix_local
    return (shown.matrix_world @ shown.pose.bones[bone].matrix @ rest.inverted()).to_3x3()


def looks(arm: Any, bone: str, frame: float) -> Vector:
    """Where in the world a bone's part of the face looks at a frame."""
    return (moved(arm, bone, frame) @ arm.matrix_world.to_3x3() @ FORWARD).normalized()


def meant(world: Matrix, yaw: float, pitch: float) -> Vector:
    """Where a face looks in the world, turned left by `yaw` degrees and up by `pitch`."""
    y, p = math.radians(yaw), math.radians(pitch)
    local = FORWARD * math.cos(y) * math.cos(p) + LEFT * math.sin(y) * math.cos(p) + UP * math.sin(p)
    return (world.to_3x3() @ local).normalized()


def degrees_between(a: Vector, b: Vector) -> float:
    return math.degrees(a.angle(b))


def test_neck_and_head_share_a_turn() -> None:
    arm, mesh = rig()
    target = find_target(mesh)
    assert [turn.bone for turn in target.head] == ["neck", "head"]
    timeline.write(target, performance((0.0, {}), (1.0, {"headYaw": 1.0}), (2.0, {"headPitch": -0.5})), start_frame=0)
    assert degrees_between(looks(arm, "neck", 24), meant(Matrix(), 18.0, 0.0)) < 0.01
    assert degrees_between(looks(arm, "head", 24), meant(Matrix(), 45.0, 0.0)) < 0.01
    assert degrees_between(looks(arm, "head", 48), meant(Matrix(), 0.0, -22.5)) < 0.01


_ANGLE = st.floats(-3.0, 3.0)
_SHARE = st.floats(-1.0, 1.0)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.tuples(_ANGLE, _ANGLE, _ANGLE),
    st.sampled_from([0.01, 1.0, 30.0]),
    st.booleans(),
    st.tuples(_ANGLE, _ANGLE, _ANGLE, _ANGLE),
    st.sampled_from(MODES),
    st.tuples(_SHARE, _SHARE, _SHARE),
    st.tuples(_SHARE, _SHARE),
)
# Facing +X; +Y; lying; in centimetres, and mirrored.
@example((0.0, 0.0, math.pi / 2), 1.0, False, (0.0, 1.0, 0.0, 2.0), "XYZ", (1.0, 1.0, 0.0), (1.0, 0.5))
@example((0.0, 0.0, math.pi), 0.01, False, (1.0, 0.0, 3.0, 0.0), "ZYX", (-1.0, 0.5, 0.3), (0.0, 1.0))
@example((-math.pi / 2, 0.0, 0.0), 0.01, True, (0.5, -1.0, 0.0, 1.0), "AXIS_ANGLE", (0.7, -1.0, -1.0), (-1.0, 0.0))
def test_face_and_eyes_look_where_they_are_meant_to_on_any_armature(
    turned: tuple[float, float, float],
    scale: float,
    mirrored: bool,
    rolls: tuple[float, float, float, float],
    mode: str,
    head: tuple[float, float, float],
    gaze: tuple[float, float],
) -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    world = Matrix.Translation((3.0, -2.0, 1.0)) @ Euler(turned).to_matrix().to_4x4() @ Matrix.Scale(scale, 4)
    if mirrored:
        world = world @ Matrix.Scale(-1.0, 4, Vector((1, 0, 0)))
    arm, mesh = rig(world, rolls, mode, NO_JAW)
    target = find_target(mesh)
    assert sorted(turn.bone for turn in target.turns) == ["eye.L", "eye.R", "head", "jaw", "neck"]
    pose = dict(zip(("headYaw", "headPitch", "headRoll"), head, strict=True)) | {"jawOpen": abs(head[0])}
    pose |= {"leftEyeYaw": gaze[0], "rightEyeYaw": gaze[0], "leftEyePitch": gaze[1], "rightEyePitch": gaze[1]}
    timeline.write(target, performance((0.0, {}), (1.0, pose), (2.0, {})), start_frame=0, fps=24.0)
    assert degrees_between(looks(arm, "head", 24), meant(world, 45 * head[0], 45 * head[1])) < 0.05
    # The eyes turn in the head, the jaw on it.
    own = moved(arm, "head", 24).inverted()
    for eye in ("eye.L", "eye.R"):
        seen = (own @ looks(arm, eye, 24)).normalized()
        assert degrees_between(seen, meant(world, 35 * gaze[0], 35 * gaze[1])) < 0.05
    assert degrees_between((own @ looks(arm, "jaw", 24)).normalized(), meant(world, 0.0, -25 * abs(head[0]))) < 0.05
    for frame in (0, 48):
        assert degrees_between(looks(arm, "head", frame), meant(world, 0.0, 0.0)) < 0.05
    read = timeline.read_pose(target, 24)
    for channel, value in pose.items():
        assert read[channel] == pytest.approx(value, abs=2e-3), channel


def test_an_axis_angle_stays_on_its_way_between_two_beats() -> None:
    arm, mesh = rig(rolls=(0.4, 1.2, 0.0, 0.0), mode="AXIS_ANGLE")
    target = find_target(mesh)
    beats = {"headYaw": -0.8, "headPitch": 0.2, "headRoll": 0.3}, {"headYaw": 0.9, "headPitch": -0.6}
    timeline.write(target, performance((0.0, beats[0]), (1.0, beats[1])), start_frame=0, style="linear", fps=24.0)
    for frame in np.arange(0.0, 24.0):
        wanted = 45 * (-0.8 + 1.7 * frame / 24.0), 45 * (0.2 - 0.8 * frame / 24.0)
        assert degrees_between(looks(arm, "head", frame), meant(Matrix(), *wanted)) < 0.02


def test_an_axis_angle_has_keys_between_beats_only_where_it_turns() -> None:
    arm, mesh = rig(mode="AXIS_ANGLE")
    story = performance((0.0, {}), (1.0, {"headYaw": 0.5}), (20.0, {"headYaw": 0.5}), (21.0, {}))
    timeline.write(find_target(mesh), story, start_frame=0, style="linear", fps=24.0)
    place = timeline.api.find_place(arm)
    curve = timeline.api.find_fcurve(place, 'pose.bones["head"].rotation_axis_angle', 0)
    assert [point.co.x for point in curve.keyframe_points] == [*range(25), *range(480, 505)]


def test_a_pose_of_the_neck_and_the_head_is_kept_under_the_turn() -> None:
    arm, mesh = rig()
    arm.pose.bones["neck"].rotation_quaternion = Quaternion((1, 0, 0), 0.3)
    arm.pose.bones["head"].rotation_quaternion = Quaternion((0, 0, 1), -0.2)
    bpy.context.view_layer.update()
    before = moved(arm, "head", 0)
    target = find_target(mesh)
    timeline.write(target, performance((0.0, {}), (1.0, {"headYaw": 0.5, "headPitch": 0.5})), start_frame=0, fps=24.0)
    assert degrees_between(before @ FORWARD, looks(arm, "head", 0)) < 0.01
    assert degrees_between(looks(arm, "head", 24), (before @ meant(Matrix(), 22.5, 22.5)).normalized()) < 0.05
    timeline.clear(target)
    assert degrees_between(before @ FORWARD, looks(arm, "head", 0)) < 0.01


def test_a_neck_that_is_held_or_lets_go_takes_no_share() -> None:
    arm, mesh = rig()
    arm.pose.bones["neck"].constraints.new("COPY_ROTATION")
    assert [turn.bone for turn in find_target(mesh).head] == ["head"]
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    arm, mesh = rig()
    arm.data.bones["head"].use_inherit_rotation = False
    target = find_target(mesh)
    assert [turn.bone for turn in target.head] == ["head"]
    timeline.write(target, performance((0.0, {}), (1.0, {"headYaw": 1.0})), start_frame=0, fps=24.0)
    assert degrees_between(looks(arm, "head", 24), meant(Matrix(), 45.0, 0.0)) < 0.01


def test_what_the_animator_does_to_neck_or_head_is_seen_in_the_pose() -> None:
    arm, mesh = rig()
    target = find_target(mesh)
    timeline.write(target, performance((0.0, {}), (1.0, {"headYaw": 0.4})), start_frame=0, fps=24.0)
    bpy.context.scene.frame_set(24)
    bone = arm.pose.bones["neck"]
    up = (arm.data.bones["neck"].matrix_local.to_3x3().inverted() @ UP).normalized()
    bone.rotation_quaternion = Quaternion(up, math.radians(9.0)) @ bone.rotation_quaternion
    bone.keyframe_insert("rotation_quaternion", frame=24)
    assert degrees_between(looks(arm, "head", 24), meant(Matrix(), 27.0, 0.0)) < 0.05
    assert timeline.read_pose(target, 24)["headYaw"] == pytest.approx(0.6, abs=1e-3)


def test_a_jaw_bone_opens_where_no_key_does() -> None:
    arm, mesh = rig(keys=NO_JAW)
    target = find_target(mesh)
    assert not {"jawOpen", "jawLeft", "jawRight", "jawForward"} & set(target.missing)
    story = performance((0.0, {}), (1.0, {"jawOpen": 0.8}), (2.0, {"jawLeft": 1.0}), (3.0, {"jawForward": 1.0}))
    timeline.write(target, story, start_frame=0, fps=24.0)
    assert degrees_between(looks(arm, "jaw", 24), meant(Matrix(), 0.0, -20.0)) < 0.01
    assert degrees_between(looks(arm, "jaw", 48), meant(Matrix(), 7.5, 0.0)) < 0.01
    bpy.context.scene.frame_set(72)
    rest = arm.data.bones["jaw"].head_local
    gone = arm.pose.bones["jaw"].head - rest
    # Forward by a 25th of the face's height.
    assert gone.normalized().dot(FORWARD) == pytest.approx(1.0, abs=1e-3)
    assert 0.002 < gone.length < 0.01
    for second, channel, value in ((1, "jawOpen", 0.8), (2, "jawLeft", 1.0), (3, "jawForward", 1.0)):
        read = timeline.read_pose(target, 24 * second)
        assert read[channel] == pytest.approx(value, abs=1e-3)
        assert sum(read[name] for name in ("jawOpen", "jawLeft", "jawRight", "jawForward")) == pytest.approx(
            value, abs=2e-3
        )


def test_a_key_opens_the_mouth_rather_than_the_jaw_bone() -> None:
    _, mesh = rig()
    assert {row.kind for row in find_target(mesh).mapping.rows if row.channel.startswith("jaw")} == {"KEY"}


def test_any_share_of_any_bones_adds_up() -> None:
    arm, mesh = rig()
    ref = ObjectRef.of(arm)
    shares = {"spine": 9.0, "neck": 13.5, "head": 22.5}
    rows = [MapRow("headYaw", "TURN", ref, bone, YAW, degrees, by_hand=True) for bone, degrees in shares.items()]
    rows += [
        MapRow("headPitch", "TURN", ref, "head", PITCH, 45.0),
        MapRow("headPitch", "TURN", ref, "neck", PITCH, 9.0),
    ]
    target = find_target(mesh, lambda members: Mapping("own", tuple(rows)))
    assert target.profile == "own"
    assert [turn.bone for turn in target.turns] == ["spine", "neck", "head"]
    timeline.write(target, performance((0.0, {}), (1.0, {"headYaw": 1.0, "headPitch": 0.5})), start_frame=0, fps=24.0)
    assert degrees_between(looks(arm, "spine", 24), meant(Matrix(), 9.0, 0.0)) < 0.01
    assert degrees_between(looks(arm, "neck", 24), meant(Matrix(), 22.5, 4.5)) < 0.01
    assert degrees_between(looks(arm, "head", 24), meant(Matrix(), 45.0, 27.0)) < 0.01
    read = timeline.read_pose(target, 24)
    assert (read["headYaw"], read["headPitch"]) == pytest.approx((1.0, 0.5), abs=1e-3)
