# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that wait while another take is shown: they come back to the last bit, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
import pytest
from amounts import examples
from facescript.performance import FacescriptError, Performance
from facescript.rig_mapping import blender_api as api
from facescript.rig_mapping import curve_data, records, takes, timeline
from facescript.rig_mapping.targets import find_target
from hypothesis import given, settings
from hypothesis import strategies as st
from made_performances import performance, performances

KEYS = ("jawOpen", "mouthSmileLeft", "browInnerUp", "cheekPuff")
MODIFIERS = ("GENERATOR", "FNGENERATOR", "ENVELOPE", "CYCLES", "NOISE", "LIMITS", "STEPPED")
SMILE = performance((0.0, {}), (1.0, {"mouthSmileLeft": 0.6, "headYaw": 0.4}), (2.0, {"jawOpen": 0.3}))
FROWN = performance((0.0, {}), (0.5, {"mouthFrownLeft": 0.8}), script="No.")


def everything(objects: list[Any]) -> dict[str, Any]:
    """All F-curves of objects and their shape keys with all that belongs to them, and what the properties stand at."""
    found: dict[str, Any] = {}
    for block in [*objects, *(o.data.shape_keys for o in objects if o.type == "MESH")]:
        place = api.find_place(block)
        rows = sorted(records.load(place).curves.items())
        found[f"{block.name} record"] = [(address, row.to_json()) for address, row in rows]
        for curve in api.fcurves(place):
            data = curve_data.read(curve)
            keys = {name: values.tobytes() for name, values in data.keys.items()}
            modifiers = [(m.type, m.settings, m.points) for m in data.modifiers]
            address = (block.name, curve.data_path, curve.array_index)
            found[str(address)] = (keys, data.settings, modifiers, data.group, data.group_settings)
        if block.id_type == "KEY":
            found[f"{block.name} values"] = [key.value for key in block.key_blocks]
    return found


def face_and_rig() -> tuple[Any, Any]:
    """A face on an armature whose head bone it turns, and whose spine the animator has keyed."""
    rig = rigs.armature(
        {"spine": ((0, 0, -1), (0, 0, -0.2), 0.0), "head": ((0, 0, -0.2), (0, 0, 0.1), 0.0)},
    )
    obj = rigs.face()
    obj.parent = rig
    obj.modifiers.new("Armature", "ARMATURE").object = rig
    group = obj.vertex_groups.new(name="head")
    group.add(range(len(obj.data.vertices)), 1.0, "REPLACE")
    bone = rig.pose.bones["spine"]
    bone.rotation_mode = "XYZ"
    for frame, value in ((1, 0.0), (40, 0.5)):
        bone.rotation_euler[0] = value
        bone.keyframe_insert("rotation_euler", index=0, frame=frame)
    rig.animation_data.action.name = "Body"
    bpy.context.view_layer.update()
    return obj, rig


modifiers = st.lists(st.sampled_from(MODIFIERS), max_size=2, unique=True)
hand = st.dictionaries(
    st.sampled_from(KEYS),
    st.tuples(
        st.dictionaries(st.integers(-60, 260) | st.floats(-60.0, 260.0, width=16), st.floats(0.0, 1.0, width=16)),
        st.sampled_from(["CONSTANT", "BACK", "BEZIER"]),
        st.sampled_from(["AUTO", "FREE", "AUTO_CLAMPED"]),
        modifiers,
        st.sampled_from([{}, {"lock": True}, {"mute": True, "extrapolation": "LINEAR", "auto_smoothing": "NONE"}]),
    ),
    max_size=3,
)


def by_hand(data: Any, keys: dict[str, Any]) -> None:
    for name, (points, interpolation, handle, added, set_to) in keys.items():
        place = api.make_place(data, "Mine")
        path = f'key_blocks["{name}"].value'
        curve = api.find_fcurve(place, path, 0) or api.make_fcurve(place, path, 0, "Mine")
        for frame, value in points.items():
            point = curve.keyframe_points.insert(frame, value)
            point.interpolation = interpolation
            point.handle_left_type = point.handle_right_type = handle
        curve.update()
        # Blender has Cycles only as the first.
        for kind in sorted(added, key=lambda kind: kind != "CYCLES"):
            modifier = curve.modifiers.new(kind)
            modifier.use_restricted_range = True
            modifier.frame_end, modifier.frame_start, modifier.blend_in = 120.0, 30.0, 4.0
            if kind == "ENVELOPE":
                modifier.control_points.add(12.0)
                modifier.control_points.foreach_set("max", [0.7])
            if kind == "GENERATOR":
                modifier.poly_order = 2
                modifier.coefficients = (0.1, 0.2, 0.3)
        for setting, value in set_to.items():
            setattr(curve, setting, value)


@settings(max_examples=examples(25), deadline=None)
@given(hand, performances(most=5), st.none() | performances(most=5), hand)
def test_what_was_put_away_comes_back_to_the_last_bit(
    keys: Any, story: Performance, other: Performance | None, other_keys: Any
) -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    obj, rig = face_and_rig()
    target = find_target(obj)
    timeline.write(target, story, start_frame=1, fps=24.0)
    by_hand(obj.data.shape_keys, keys)
    before = everything([obj, rig])
    first = takes.exchange(target, "One")
    if other is not None:
        timeline.write(target, other, start_frame=30, fps=24.0)
    by_hand(obj.data.shape_keys, other_keys)
    second_before = everything([obj, rig])
    second = takes.exchange(target, "Two", first)
    assert everything([obj, rig]) == before
    first = takes.exchange(target, "One", second)
    assert everything([obj, rig]) == second_before
    takes.exchange(target, "Two", first)
    assert everything([obj, rig]) == before


def test_only_the_faces_curves_are_exchanged() -> None:
    obj, rig = face_and_rig()
    body = everything([rig])
    target = find_target(obj)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    stores = takes.exchange(target, "One")
    assert everything([rig]) == body
    assert api.find_place(obj.data.shape_keys) is None
    assert sorted(store.action.name for store in stores) == ["One (Face)", "One (Rig)"]
    paths = {c.data_path for store in stores for c in api.fcurves(api.place_of(store.action))}
    assert paths == {
        'key_blocks["mouthSmileLeft"].value',
        'key_blocks["jawOpen"].value',
        'pose.bones["head"].rotation_quaternion',
    }


def test_the_face_rests_when_its_keys_are_away_and_moves_when_they_are_back() -> None:
    obj, _ = face_and_rig()
    target = find_target(obj)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    bpy.context.scene.frame_set(25)
    assert obj.data.shape_keys.key_blocks["mouthSmileLeft"].value == pytest.approx(0.6)
    stores = takes.exchange(target, "One")
    bpy.context.view_layer.update()
    assert obj.data.shape_keys.key_blocks["mouthSmileLeft"].value == 0.0
    assert not np.any(timeline.read_pose(target, 25).values)
    takes.exchange(target, "Two", stores)
    bpy.context.view_layer.update()
    assert obj.data.shape_keys.key_blocks["mouthSmileLeft"].value == pytest.approx(0.6)
    assert "One (Face)" not in bpy.data.actions


def test_a_key_that_was_renamed_meanwhile_is_found() -> None:
    obj, _ = face_and_rig()
    target = find_target(obj)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    stores = takes.exchange(target, "One")
    obj.data.shape_keys.key_blocks["mouthSmileLeft"].name = "Mouth_Smile_L"
    target = find_target(obj)
    takes.exchange(target, "Two", stores)
    assert timeline.read_pose(target, 25)["mouthSmileLeft"] == pytest.approx(0.6)
    assert timeline.clear(target) > 0
    assert api.find_place(obj.data.shape_keys) is None


def test_meshes_that_have_one_action_by_now_show_the_keys_of_the_first() -> None:
    obj, _ = face_and_rig()
    other = obj.copy()
    other.data = obj.data.copy()
    bpy.context.collection.objects.link(other)
    bpy.context.view_layer.update()
    target = find_target(obj)
    assert len(target.meshes) == 2
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    stores = takes.exchange(target, "One")
    assert len(stores) == 3
    timeline.write(target, FROWN, start_frame=1, fps=24.0)
    shared = other.data.shape_keys.animation_data
    shared.action = obj.data.shape_keys.animation_data.action
    if api.SLOTTED:
        shared.action_slot = obj.data.shape_keys.animation_data.action_slot
    second = takes.exchange(target, "Two", stores)
    assert timeline.read_pose(target, 25)["mouthSmileLeft"] == pytest.approx(0.6)
    assert timeline.clear(target) > 0
    assert not list(api.fcurves(api.find_place(obj.data.shape_keys)))
    takes.exchange(target, "One", second)
    assert timeline.read_pose(target, 13)["mouthFrownLeft"] == pytest.approx(0.8)


def test_a_curve_of_the_animators_where_one_of_the_take_belongs_goes_away_and_comes_back() -> None:
    obj, _ = face_and_rig()
    data = obj.data.shape_keys
    timeline.write(find_target(obj), SMILE, start_frame=1, fps=24.0)
    stores = takes.exchange(find_target(obj), "One")
    # Under another name the key is none of the face's, and the animator uses it.
    data.key_blocks["mouthSmileLeft"].name = "Wobble"
    data.key_blocks["Wobble"].keyframe_insert("value", frame=7)
    target = find_target(obj)
    assert "mouthSmileLeft" not in target.covered
    path = 'key_blocks["Wobble"].value'
    second = takes.exchange(target, "Two", stores)
    assert [p.co.x for p in api.find_fcurve(api.find_place(data), path, 0).keyframe_points] != [7.0]
    takes.exchange(target, "One", second)
    assert [p.co.x for p in api.find_fcurve(api.find_place(data), path, 0).keyframe_points] == [7.0]


def test_a_failure_in_the_middle_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    obj, rig = face_and_rig()
    target = find_target(obj)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    by_hand(obj.data.shape_keys, {"jawOpen": ({3.5: 0.2}, "BACK", "AUTO", ["NOISE"], {"lock": True})})
    stores = takes.exchange(target, "One")
    timeline.write(target, FROWN, start_frame=1, fps=24.0)
    before, actions = everything([obj, rig]), sorted(a.name for a in bpy.data.actions)
    write, calls = curve_data.write, []

    def failing(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 4:
            raise RuntimeError("no memory")
        return write(*args)

    monkeypatch.setattr(curve_data, "write", failing)
    with pytest.raises(RuntimeError, match="no memory"):
        takes.exchange(target, "Two", stores)
    monkeypatch.undo()
    assert everything([obj, rig]) == before
    assert sorted(a.name for a in bpy.data.actions) == actions


def test_a_baked_curve_and_tweak_mode_are_refused_with_a_reason() -> None:
    obj, _ = face_and_rig()
    target = find_target(obj)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    curve = api.find_fcurve(api.find_place(obj.data.shape_keys), 'key_blocks["jawOpen"].value', 0)
    curve.convert_to_samples(1, 49)
    before = sorted(a.name for a in bpy.data.actions)
    with pytest.raises(FacescriptError, match="baked to samples") as raised:
        takes.exchange(target, "One")
    assert raised.value.code == "baked_curve"
    assert sorted(a.name for a in bpy.data.actions) == before


needs_slots = pytest.mark.skipif(not api.SLOTTED, reason="this Blender's actions have no slots")


def lamp_in(action: Any) -> Any:
    """An object that is keyed in a slot of its own of an action."""
    lamp = bpy.data.objects.new("Lamp", None)
    bpy.context.scene.collection.objects.link(lamp)
    lamp.animation_data_create().action = action
    lamp.animation_data.action_slot = action.slots.new(id_type="OBJECT", name="Lamp")
    lamp.keyframe_insert("location", frame=7)
    return lamp


def lamp_frames(action: Any) -> list[float]:
    slot = action.slots["OBLamp"]
    return [point.co.x for curve in api.fcurves(api.Place(action, slot)) for point in curve.keyframe_points]


@needs_slots
def test_what_else_is_keyed_in_a_waiting_action_stays_when_the_take_is_shown() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, performance((0.0, {}), (1.0, {"jawOpen": 0.5})), fps=24.0)
    [store] = takes.exchange(target, "Take 1")
    lamp = lamp_in(store.action)
    takes.exchange(target, "Take 2", [store])
    assert lamp.animation_data.action == store.action and lamp_frames(store.action) == [7.0] * 3
    assert [slot.identifier for slot in store.action.slots] == ["OBLamp"]
    assert not takes.waits(store.action)
    assert api.find_fcurve(api.find_place(obj.data.shape_keys), 'key_blocks["jawOpen"].value', 0) is not None


@needs_slots
def test_what_else_is_keyed_in_the_faces_action_stays_when_it_is_cleared() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, performance((0.0, {}), (1.0, {"jawOpen": 0.5})), fps=24.0)
    action = obj.data.shape_keys.animation_data.action
    lamp_in(action).animation_data.action = None
    timeline.clear(target)
    assert lamp_frames(action) == [7.0] * 3
    assert obj.data.shape_keys.animation_data.action is None


def test_what_is_keyed_between_two_steps_stays_when_the_steps_are_taken_back() -> None:
    obj = rigs.face()
    steps = timeline.write_steps(find_target(obj), performance((0.0, {}), (1.0, {"jawOpen": 0.5})), fps=24.0)
    while not len(bpy.data.actions):
        next(steps)
    cube = bpy.data.objects.new("Cube", None)
    bpy.context.scene.collection.objects.link(cube)
    cube.keyframe_insert("location", frame=7)
    steps.close()
    assert list(bpy.data.actions) == [cube.animation_data.action]
    assert obj.data.shape_keys.animation_data is None
