# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
import pytest
from facescript.performance import INDEX, FacescriptError
from facescript.rig_mapping import blender_api as api
from facescript.rig_mapping import controls, life, life_layer, life_records, timeline
from facescript.rig_mapping.curves import evaluate
from facescript.rig_mapping.life import Amounts
from facescript.rig_mapping.targets import Target, find_target
from made_performances import performance
from mathutils import Matrix, Vector

STORY = performance(
    (0.0, {}),
    (1.0, {"jawOpen": 0.4, "headYaw": 0.4, "eyeLookOutLeft": 0.3, "eyeLookInRight": 0.3, "eyeBlink": 0.2}),
    (3.0, {"headYaw": -0.4, "headPitch": 0.3, "headRoll": 0.2}),
    (8.0, {}),
)
START, END = 1, 240
DRIFT = Amounts(0.0, 0.0, 0.0, 1.0)


def value(obj: Any, key: str) -> float:
    """What the scene shows of a shape key."""
    shown = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return float(shown.data.shape_keys.key_blocks[key].value)


def dump() -> dict[str, Any]:
    """Everything that the layer could have changed, read anew at a frame."""
    bpy.context.scene.frame_set(37)
    found: dict[str, Any] = {"actions": sorted(a.name for a in bpy.data.actions)}
    for action in bpy.data.actions:
        found[f"action {action.name}"] = [dict(action.items()), action.users]
    for block in (*bpy.data.objects, *bpy.data.shape_keys):
        row: list[Any] = [dict(block.items())]
        animation = block.animation_data
        if animation is not None:
            row += [animation.action_blend_type, animation.action_influence, animation.action_extrapolation]
            row += [animation.use_nla, animation.action and animation.action.name, len(animation.drivers)]
            row += [(t.name, t.mute, [(s.name, s.action.name) for s in t.strips]) for t in animation.nla_tracks]
            for curve in api.fcurves(api.find_place(block)):
                keys = api.read_keys(curve)
                row.append((curve.data_path, curve.array_index, b"".join(v.tobytes() for v in keys.values())))
        if block.id_type == "KEY":
            row += [(b.name, round(b.value, 5)) for b in block.key_blocks]
        else:
            row += [tuple(v) for v in (block.delta_rotation_euler, block.delta_rotation_quaternion)]
            bones = block.pose.bones if block.pose is not None else ()
            row += [[(tuple(b.rotation_quaternion), tuple(b.rotation_euler)) for b in bones]]
        found[block.name] = row
    return found


def boned(mode: str, roll: float = 0.4) -> tuple[Any, Any]:
    """A face on an armature whose head bone is rolled, and the armature."""
    rig = rigs.armature({"root": ((0, 0, -0.5), (0, 0, -0.1), 0.0), "head": ((0, 0, -0.1), (0, 0.02, 0.1), roll)})
    obj = rigs.face()
    rigs.bind(obj, rig)
    rig.pose.bones["head"].rotation_mode = mode
    return obj, rig


def turned(target: Target) -> np.ndarray:
    """The head's rotation (3, 3) as the scene shows it, in the world."""
    control = target.head[0]
    shown = control.object.find().evaluated_get(bpy.context.evaluated_depsgraph_get())
    world = shown.matrix_world
    if control.bone:
        world = world @ shown.pose.bones[control.bone].matrix
    return np.array(world.to_3x3().normalized())


@pytest.mark.parametrize("written", [True, False])
def test_what_is_removed_leaves_no_trace(written: bool) -> None:
    obj = rigs.face()
    obj.data.shape_keys.key_blocks["cheekPuff"].value = 0.3
    obj.data.shape_keys.key_blocks["eyeBlinkLeft"].value = 0.1
    target = find_target(obj)
    if written:
        timeline.write(target, STORY, fps=24.0)
    before = dump()
    assert life_layer.present(target) == "none"
    assert not life_layer.remove(target)
    report = life_layer.add(target, start=START, end=END, seed=3)
    assert life_layer.present(target) == "on"
    assert report.blinks >= 2
    assert report.curves == sum(len(list(api.fcurves(p))) for p in layer_places(target))
    assert dump() != before
    assert life_layer.remove(target)
    assert dump() == before
    assert life_layer.present(target) == "none"


def layer_places(target: Target) -> list[api.Place]:
    found = []
    for block in timeline.datablocks(target):
        track = life_records.find_track(block)
        if track is not None:
            strip = track.strips[0]
            found.append(api.Place(strip.action, strip.action_slot if api.SLOTTED else None))
    return found


def test_the_face_shows_the_sum_of_performance_and_life() -> None:
    obj = rigs.face()
    obj.data.shape_keys.key_blocks["eyeLookUpLeft"].value = 0.2
    target = find_target(obj)
    timeline.write(target, STORY, fps=24.0)
    frames = np.arange(START - 5, END + 6)
    keys = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookOutLeft", "eyeLookUpLeft", "eyeLookInRight")
    plain = timeline.sample_poses(target, frames)
    report = life_layer.add(target, start=START, end=END, seed=3)
    # What is read and written anew is still the performance's alone.
    bpy.context.scene.frame_set(60)
    np.testing.assert_allclose(timeline.sample_poses(target, frames), plain, atol=1e-6)
    curves = life.layer(plain[5:-5], START, 24.0, 3)
    highest = 0.0
    for i, frame in enumerate(frames):
        bpy.context.scene.frame_set(int(frame))
        for key in keys:
            more = float(evaluate(curves[key], frame)[0]) if key in curves else 0.0
            expected = min(max(plain[i, INDEX[key]] + more, 0.0), 1.0)
            assert value(obj, key) == pytest.approx(expected, abs=2e-3), (key, frame)
        highest = max(highest, value(obj, "eyeBlinkLeft"))
    assert highest == pytest.approx(1.0, abs=1e-3)
    assert (report.start, report.end) == (START, END)


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "ZXY", "AXIS_ANGLE"])
@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("bone", [True, False])
def test_the_head_turns_by_life_in_front_of_the_performance(mode: str, written: bool, bone: bool) -> None:
    if not bone and mode == "AXIS_ANGLE":
        return  # such an object has no delta rotation that could be keyed
    rest = Matrix.Rotation(0.3, 3, (0.2, 1.0, 0.1))
    obj, owner = boned(mode) if bone else 2 * (rigs.face(),)
    if bone:
        owner.rotation_euler = (0.1, 0.0, 0.7)
        owner = owner.pose.bones["head"]
    owner.rotation_mode = mode
    setattr(owner, controls.rotation_property(mode, delta=False)[0], controls.from_matrix(rest, mode, None))
    bpy.context.view_layer.update()
    target = find_target(obj)
    assert bool(target.head[0].bone) is bone
    if written:
        timeline.write(target, STORY, fps=24.0)
    frames = range(START, END, 5)
    samples = timeline.sample_poses(target, np.arange(START, END + 1))
    plain = [turned(target) for frame in frames if not bpy.context.scene.frame_set(frame)]
    life_layer.add(target, start=START, end=END, seed=9, amounts=DRIFT)
    curves = life.layer(samples, START, 24.0, 9, DRIFT)

    # The head's own axes before it turns, in the world.
    control = target.head[0]
    front = np.array(rest)
    if bone:
        bent = np.array(control.object.find().data.bones["head"].matrix_local.to_3x3())
        front = np.array(control.object.find().matrix_world.to_3x3()) @ bent @ front @ bent.T
    # Sums of angles are turns only nearly; an axis' components wander the most.
    limit = {"QUATERNION": 0.1, "AXIS_ANGLE": 0.6}.get(mode, 0.3)
    most = 0.0
    for frame, before in zip(frames, plain, strict=True):
        bpy.context.scene.frame_set(frame)
        more = [[float(evaluate(curves[name], frame)[0]) for name in control.channels]]
        expected = front @ control.turns(np.array(more))[0] @ front.T @ before
        now = turned(target)
        assert degrees(now @ expected.T) < limit, frame
        most = max(most, degrees(now @ before.T))
    assert most > 0.8


def degrees(rotation: np.ndarray) -> float:
    """The angle of a rotation (3, 3)."""
    return math.degrees(math.acos(min(1.0, (np.trace(rotation) - 1.0) / 2.0)))


def test_eye_bones_look_where_the_darts_go() -> None:
    bones = {"root": ((0, 0, -0.5), (0, 0, -0.1), 0.0), "head": ((0, 0, -0.1), (0, 0.02, 0.1), 0.0)}
    bones |= {f"eye.{s}": ((x, -0.08, 0.05), (x, -0.1, 0.05), 0.3) for s, x in (("L", 0.03), ("R", -0.03))}
    rig = rigs.armature(bones)
    obj = rigs.face(keys=("jawOpen", "eyeBlinkLeft", "eyeBlinkRight"))
    rigs.bind(obj, rig)
    target = find_target(obj)
    assert [control.bone for control in target.eyes] == ["eye.L", "eye.R"]
    before = dump()
    life_layer.add(target, start=START, end=END, seed=2, amounts=Amounts(0.0, 1.0, 0.0, 0.0))
    curves = life.layer(np.zeros((END - START + 1, 61)), START, 24.0, 2, Amounts(0.0, 1.0, 0.0, 0.0))
    most = 0.0
    for frame in range(START, END, 3):
        bpy.context.scene.frame_set(frame)
        yaw, pitch = (35.0 * float(evaluate(curves[f"leftEye{axis}"], frame)[0]) for axis in ("Yaw", "Pitch"))
        for name in ("eye.L", "eye.R"):
            shown = rig.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones[name]
            x, y, z = shown.matrix.to_3x3() @ Vector((0.0, 1.0, 0.0))
            # Forward is -Y, and the character's left is +X.
            assert math.degrees(math.atan2(x, -y)) == pytest.approx(yaw, abs=0.05)
            assert math.degrees(math.asin(z)) == pytest.approx(pitch, abs=0.05)
        most = max(most, abs(yaw))
    assert most > 0.5
    life_layer.remove(target)
    assert dump() == before


def test_adding_again_replaces_and_refreshing_follows_the_performance() -> None:
    obj = rigs.face()
    target = find_target(obj)
    before = dump()
    life_layer.add(target, start=START, end=END, seed=1)
    first = dump()
    life_layer.add(target, start=START, end=END, seed=1)
    assert dump() == first
    life_layer.add(target, start=START, end=END, seed=2)
    assert dump() != first
    # Nothing but blinks: what else was animated stands as before again.
    life_layer.add(target, start=START, end=END, seed=1, amounts=Amounts(1.0, 0.0, 0.0, 0.0))
    assert obj.animation_data is None
    life_layer.remove(target)
    assert dump() == before

    life_layer.add(target, start=START, end=END, seed=1)
    shut = performance((0.0, {"eyeBlink": 1.0}), (9.0, {"eyeBlink": 1.0}))
    timeline.write(target, shut, fps=24.0)
    assert life_layer.refresh(target) is not None
    for frame in range(START, END - 24):
        bpy.context.scene.frame_set(frame)
        assert value(obj, "eyeBlinkLeft") == pytest.approx(1.0)
    timeline.clear(target)
    assert life_layer.refresh(target) is not None
    assert dump() == first
    life_layer.remove(target)
    assert life_layer.refresh(target) is None
    assert dump() == before


def test_muting_shows_the_performance_alone() -> None:
    obj = rigs.face()
    obj.data.shape_keys.key_blocks["eyeBlinkRight"].value = 0.25
    target = find_target(obj)
    timeline.write(target, performance((0.0, {}), (2.0, {"eyeBlinkLeft": 0.3})), fps=24.0)
    life_layer.add(target, start=START, end=END, seed=0)
    shut = next(f for f in range(START, END) if not bpy.context.scene.frame_set(f) and value(obj, "eyeBlinkLeft") > 0.9)
    bpy.context.scene.frame_set(shut)
    life_layer.set_muted(target, True)
    assert life_layer.present(target) == "muted"
    bpy.context.view_layer.update()
    assert value(obj, "eyeBlinkLeft") < 0.5
    assert value(obj, "eyeBlinkRight") == pytest.approx(0.25)
    # It stays muted when it is laid anew.
    life_layer.refresh(target)
    assert life_layer.present(target) == "muted"
    life_layer.set_muted(target, False)
    assert life_layer.present(target) == "on"
    bpy.context.view_layer.update()
    assert value(obj, "eyeBlinkLeft") > 0.9


def nla_off(data: Any) -> None:
    data.animation_data.use_nla = False


def half(data: Any) -> None:
    data.animation_data.action_influence = 0.5


def additive(data: Any) -> None:
    data.animation_data.action_blend_type = "ADD"


def below(data: Any) -> Any:
    place = api.new_action("Below", data)
    curve = api.make_fcurve(place, 'key_blocks["jawOpen"].value', 0, "Mine")
    curve.keyframe_points.insert(1, 0.5)
    curve.keyframe_points.insert(50, 0.7)
    track = data.animation_data.nla_tracks.new()
    api.new_strip(track, "Below", 1, place)
    return track


def solo(data: Any) -> None:
    below(data).is_solo = True


@pytest.mark.parametrize("change", [nla_off, half, additive, below, solo])
def test_an_nla_that_would_not_go_with_it_is_left_alone(change: Any) -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, STORY, fps=24.0)
    change(obj.data.shape_keys)
    before = dump()
    with pytest.raises(FacescriptError) as error:
        life_layer.add(target, start=START, end=END)
    assert error.value.code == "nla_conflict"
    assert obj.name in error.value.message
    assert dump() == before


def test_a_muted_track_and_one_of_other_channels_are_no_conflict() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, performance((0.0, {}), (2.0, {"jawOpen": 0.4})), fps=24.0)
    below(obj.data.shape_keys).mute = True
    life_layer.add(target, start=START, end=END)
    life_layer.remove(target)
    assert len(obj.data.shape_keys.animation_data.nla_tracks) == 1
    assert obj.data.shape_keys.animation_data.action_blend_type == "REPLACE"


def test_tweak_mode_is_told_and_nothing_changes() -> None:
    obj = rigs.face()
    data = obj.data.shape_keys
    data.animation_data_create()
    track = below(data)
    track.strips[0].select = True
    data.animation_data.use_tweak_mode = True
    target = find_target(obj)
    with pytest.raises(FacescriptError) as error:
        life_layer.add(target, start=START, end=END)
    assert error.value.code == "tweak_mode"
    assert life_layer.present(target) == "none"


def test_a_failure_halfway_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    obj, _ = boned("QUATERNION")
    target = find_target(obj)
    timeline.write(target, STORY, fps=24.0)
    before = dump()
    calls = []

    def failing(work: Callable[..., None]) -> Callable[..., None]:
        def fail(*given: Any) -> None:
            work(*given)
            calls.append(given)
            if len(calls) in (2, 6):
                raise RuntimeError("no memory")

        return fail

    for name in ("_put_on", "_lay_anew"):
        monkeypatch.setattr(life_layer, name, failing(getattr(life_layer, name)))
    with pytest.raises(RuntimeError):
        life_layer.add(target, start=START, end=END, seed=1)
    assert dump() == before
    # Nor is a layer lost that was there: calls 3 and 4 lay one, 6 fails to change it.
    life_layer.add(target, start=START, end=END, seed=1)
    laid = dump()
    with pytest.raises(RuntimeError):
        life_layer.add(target, start=START, end=END, seed=2)
    assert dump() == laid


def test_a_layer_that_follows_keeps_its_actions() -> None:
    obj, _ = boned("QUATERNION")
    target = find_target(obj)
    timeline.write(target, STORY, fps=24.0)
    life_layer.add(target, start=START, end=END, seed=1)
    # Undo takes away what was made since its last step, and keeps what points to it.
    before = {action.session_uid for action in bpy.data.actions}
    timeline.write(target, STORY, start_frame=9, fps=24.0)
    life_layer.refresh(target)
    assert {action.session_uid for action in bpy.data.actions} == before


def test_too_few_frames_and_a_face_without_eyes_are_told() -> None:
    target = find_target(rigs.face(keys=("jawOpen", "mouthSmileLeft")))
    with pytest.raises(FacescriptError) as error:
        life_layer.add(target, start=5, end=6)
    assert error.value.code == "bad_range"
    with pytest.raises(FacescriptError) as error:
        life_layer.add(target, start=1, end=240, amounts=Amounts(1.0, 1.0, 0.0, 0.0))
    assert error.value.code == "nothing_to_write"


def test_a_layer_of_a_blender_with_other_defaults_is_outdated() -> None:
    obj = rigs.face()
    target = find_target(obj)
    life_layer.add(target, start=START, end=END)
    action = life_records.find_track(obj.data.shape_keys).strips[0].action
    record = life_records.load(obj.data.shape_keys)
    assert record is not None
    life_records.save(action, replace(record, default=record.default + 1.0))
    assert life_layer.present(target) == "outdated"
    life_layer.refresh(target)
    assert life_layer.present(target) == "on"


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ"])
@pytest.mark.parametrize("written", [True, False])
def test_a_pose_that_was_set_by_hand_is_read_without_life(mode: str, written: bool) -> None:
    obj, _ = boned(mode)
    target = find_target(obj)
    if written:
        timeline.write(target, STORY, fps=24.0)
    life_layer.add(target, start=START, end=END, seed=4)
    for frame in range(START, END, 11):
        bpy.context.scene.frame_set(frame)
        expected = timeline.sample_poses(target, [frame])[0]
        # Where a lid is kept within its range, what was beyond is not known.
        np.testing.assert_allclose(timeline.standing_pose(target).values, expected, atol=5e-3)
        obj.data.shape_keys.key_blocks["mouthPucker"].value = 0.7
        assert timeline.standing_pose(target)["mouthPucker"] == pytest.approx(0.7)
