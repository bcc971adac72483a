# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
import pytest
from facescript.performance import BLEND_SHAPES, FacescriptError, Performance
from facescript.rig_mapping import blender_api as api
from facescript.rig_mapping import curves, records, styles, timeline
from facescript.rig_mapping.targets import find_target
from made_performances import performance

LONG = performance(
    (0.0, {}),
    (1.0, {"jawOpen": 0.5, "mouthSmile": 0.8}),
    (2.0, {"jawOpen": 0.2, "headYaw": 0.3}),
    (4.0, {}),
    script="I won!",
)
SHORT = performance((0.0, {}), (1.0, {"browInnerUp": 0.6}))


def path(key: str) -> str:
    return f'key_blocks["{key}"].value'


def fcurve(obj: Any, key: str) -> Any:
    return api.find_fcurve(api.find_place(obj.data.shape_keys), path(key), 0)


def user_curve(obj: Any, key: str, *points: tuple[float, float]) -> Any:
    """Keys as an animator sets them, with automatic handles."""
    block = obj.data.shape_keys.key_blocks[key]
    for frame, value in points:
        block.value = value
        block.keyframe_insert("value", frame=frame)
    block.value = 0.0
    return fcurve(obj, key)


def points(obj: Any, key: str) -> list[tuple[float, float]]:
    curve = fcurve(obj, key)
    return [] if curve is None else [(p.co.x, round(p.co.y, 4)) for p in curve.keyframe_points]


def state(*objects: Any) -> dict[Any, Any]:
    """Everything about the animation of objects and their shape keys, to the last bit."""
    found: dict[Any, Any] = {}
    for obj in objects:
        for block in (obj, obj.data.shape_keys):
            place = api.find_place(block)
            animation = block.animation_data
            found[block.name] = animation.action.name if animation is not None and animation.action else None
            if place is not None:
                found[block.name, "record"] = place.action.get(records.PROPERTY)
                for curve in api.fcurves(place):
                    keys = api.read_keys(curve)
                    group = curve.group.name if curve.group is not None else None
                    address = (block.name, curve.data_path, curve.array_index)
                    found[address] = (group, {n: v.tobytes() for n, v in keys.items()})
    found["actions"] = sorted(a.name for a in bpy.data.actions)
    return found


def test_what_is_written_is_said_and_read_back() -> None:
    obj = rigs.face()
    target = find_target(obj)
    report = timeline.write(target, LONG, start_frame=10, fps=24.0)
    assert (report.start, report.end, report.beats) == (10, 106, (10, 34, 58, 106))
    assert report.channels == ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "headYaw")
    assert report.left_out == ()
    assert report.curves == 3 + 3
    assert report.warnings == () and report.clipped == ()
    assert report.actions == ("I won! (Face shapes)", "I won! (Face)")
    assert {a.name for a in bpy.data.actions} == set(report.actions)
    for frame, keyframe in zip(report.beats, LONG.keyframes, strict=True):
        np.testing.assert_allclose(timeline.read_pose(target, frame).values, keyframe.pose.values, atol=1e-4)
    keyed = {c.data_path for c in api.fcurves(api.find_place(obj.data.shape_keys))}
    assert keyed == {path(k) for k in ("jawOpen", "mouthSmileLeft", "mouthSmileRight")}
    total = sum(len(c.keyframe_points) for b in (obj, obj.data.shape_keys) for c in api.fcurves(api.find_place(b)))
    assert report.keys == total


def test_the_face_really_moves() -> None:
    obj = rigs.face()
    timeline.write(find_target(obj), LONG, start_frame=1, fps=24.0)
    blocks = obj.data.shape_keys.key_blocks
    for frame, jaw in ((1, 0.0), (25, 0.5), (49, 0.2), (97, 0.0)):
        bpy.context.scene.frame_set(frame)
        assert blocks["jawOpen"].value == pytest.approx(jaw)


def test_between_beats_the_rig_shows_what_is_sampled() -> None:
    target = find_target(rigs.face())
    timeline.write(target, LONG, start_frame=1, style="soft", fps=24.0)
    made = curves.channel_curves(LONG, 24.0, 1, styles.get("soft"))
    for frame in (5.0, 18.5, 22.0, 40.0, 70.25):
        np.testing.assert_allclose(timeline.read_pose(target, frame).values, curves.sample(made, frame)[0], atol=1e-3)


def test_the_scenes_own_rate_is_used() -> None:
    render = bpy.context.scene.render
    render.fps, render.fps_base = 30, 1.001
    assert timeline.scene_fps() == pytest.approx(29.97003)
    report = timeline.write(find_target(rigs.face()), performance((0.0, {"jawOpen": 1.0}), (600.0, {})), start_frame=0)
    assert report.beats == (0, 17982)


def test_keys_outside_and_other_channels_stay_as_they_are() -> None:
    obj = rigs.face()
    user_curve(obj, "jawOpen", (-20, 0.3), (0, 0.7), (50, 0.9), (120, 0.4), (140, 0.1))
    user_curve(obj, "tongueOut", (30, 0.2), (60, 0.9))
    before = state(obj)
    outside = [p for p in points(obj, "jawOpen") if p[0] != 50]
    timeline.write(find_target(obj), LONG, start_frame=1, fps=24.0)
    after = state(obj)
    assert after[("Key", path("tongueOut"), 0)] == before[("Key", path("tongueOut"), 0)]
    written = points(obj, "jawOpen")
    assert [p for p in written if p in outside] == outside
    assert (50.0, 0.9) not in written
    assert obj.data.shape_keys.animation_data.action.name == before["Key"]


def test_writing_twice_is_writing_once() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    once = state(obj)
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    assert state(obj) == once


def test_a_shorter_performance_takes_the_longer_ones_keys_away() -> None:
    obj = rigs.face()
    user_curve(obj, "mouthSmileLeft", (300, 0.5))
    target = find_target(obj)
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    bpy.context.scene.frame_set(25)
    timeline.write(target, SHORT, start_frame=1, fps=24.0)
    keyed = {c.data_path for c in api.fcurves(api.find_place(obj.data.shape_keys))}
    assert keyed == {path("browInnerUp"), path("mouthSmileLeft")}
    assert points(obj, "mouthSmileLeft") == [(300.0, 0.5)]
    assert points(obj, "browInnerUp")[-1] == (25.0, 0.6)
    # What is not animated any more does not stay as the last performance left it.
    assert obj.data.shape_keys.key_blocks["jawOpen"].value == 0.0
    # Nothing turns the head now, so its action is gone; the other one holds the animator's key and the new keys.
    assert [a.name for a in bpy.data.actions] == [obj.data.shape_keys.animation_data.action.name]


def test_an_action_is_named_after_what_it_holds_unless_the_animator_named_it() -> None:
    obj = rigs.face()
    target = find_target(obj)
    other = performance((0.0, {"jawOpen": 1.0}), script="Oh no.")
    timeline.write(target, LONG, fps=24.0)
    action = obj.data.shape_keys.animation_data.action
    assert action.name == "I won! (Face shapes)"
    timeline.write(target, other, fps=24.0)
    assert action.name == "Oh no. (Face shapes)"
    action.name = "Take 3"
    timeline.write(target, LONG, fps=24.0)
    assert action.name == "Take 3"
    timeline.clear(target)
    assert not bpy.data.actions


def test_clear_leaves_locked_curves_and_knows_them_still() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, LONG, fps=24.0)
    fcurve(obj, "jawOpen").lock = True
    timeline.clear(target)
    assert points(obj, "jawOpen") and not points(obj, "mouthSmileLeft")
    fcurve(obj, "jawOpen").lock = False
    timeline.clear(target)
    assert not bpy.data.actions


def test_keys_that_the_animator_changed_or_added_stay_theirs() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    assert timeline.hand_edited_frames(target) == ()
    curve = fcurve(obj, "jawOpen")
    changed = next(p for p in curve.keyframe_points if p.co.x == 49.0)
    changed.co.y = changed.handle_left.y = changed.handle_right.y = 0.9
    tilted = next(p for p in fcurve(obj, "mouthSmileLeft").keyframe_points if p.co.x == 97.0)
    tilted.handle_left.y += 0.1
    curve.keyframe_points.insert(70, 0.33)
    assert timeline.hand_edited_frames(target) == (49, 70, 97)
    timeline.write(target, SHORT, start_frame=1, fps=24.0)
    assert points(obj, "jawOpen") == [(49.0, 0.9), (70.0, 0.33)]
    assert points(obj, "mouthSmileLeft") == [(97.0, 0.0)]
    assert points(obj, "mouthSmileRight") == []


def test_clear_brings_back_what_was() -> None:
    obj = rigs.face()
    obj.data.shape_keys.key_blocks["cheekPuff"].value = 0.25
    target = find_target(obj)
    before = state(obj)
    report = timeline.write(target, performance((0.0, {}), (1.0, {"cheekPuff": 1.0, "headPitch": 0.5})), fps=24.0)
    bpy.context.scene.frame_set(25)
    assert timeline.clear(target) == report.keys
    assert state(obj) == before
    assert obj.data.shape_keys.key_blocks["cheekPuff"].value == 0.25
    assert tuple(obj.delta_rotation_euler) == (0.0, 0.0, 0.0)
    assert timeline.clear(target) == 0


def test_clear_keeps_the_users_action_and_keys() -> None:
    obj = rigs.face()
    user_curve(obj, "jawOpen", (0, 0.7), (120, 0.4))
    before = state(obj)
    target = find_target(obj)
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    timeline.clear(target)
    assert state(obj) == before


def test_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    obj = rigs.face()
    user_curve(obj, "jawOpen", (0, 0.7), (50, 0.9), (120, 0.4))
    target = find_target(obj)
    before = state(obj)
    write_keys, calls = api.write_keys, []

    def failing(curve: Any, keys: Any) -> None:
        calls.append(curve)
        if len(calls) == stop:
            raise MemoryError
        write_keys(curve, keys)

    monkeypatch.setattr(api, "write_keys", failing)
    for stop in range(1, 7):
        calls.clear()
        with pytest.raises(MemoryError):
            timeline.write(target, LONG, start_frame=1, fps=24.0)
        assert state(obj) == before, stop
    timeline.write(target, SHORT, start_frame=1, fps=24.0)
    monkeypatch.setattr(api, "write_keys", write_keys)
    timeline.clear(target)
    timeline.write(target, SHORT, start_frame=1, fps=24.0)
    written = state(obj)
    # A regeneration that fails on the way leaves the last performance.
    monkeypatch.setattr(api, "write_keys", failing)
    for stop in range(1, 5):
        calls.clear()
        with pytest.raises(MemoryError):
            timeline.write(target, LONG, start_frame=1, fps=24.0)
        assert state(obj) == written, stop


def test_bad_input_changes_nothing() -> None:
    obj = rigs.face()
    target = find_target(obj)
    before = state(obj)
    for code, options in (
        ("unknown_style", {"style": "bouncy"}),
        ("bad_fps", {"fps": float("nan")}),
        ("bad_frame", {"start_frame": 2_000_000}),
    ):
        with pytest.raises(FacescriptError) as error:
            timeline.write(target, LONG, **options)  # type: ignore[arg-type]
        assert error.value.code == code
    obj.name = "Renamed"
    with pytest.raises(FacescriptError, match="is not there"):
        timeline.write(target, LONG)
    obj.name = "Face"
    assert state(obj) == before


def test_a_key_that_was_removed_is_told() -> None:
    obj = rigs.face()
    target = find_target(obj)
    obj.shape_key_remove(obj.data.shape_keys.key_blocks["jawOpen"])
    with pytest.raises(FacescriptError, match="jawOpen") as error:
        timeline.write(target, LONG)
    assert error.value.code == "target_gone"


def test_a_linked_action_is_refused(tmp_path: Path) -> None:
    bpy.data.actions.new("Shared").use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "actions.blend"), check_existing=False)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "actions.blend"), link=True) as (_, wanted):
        wanted.actions = ["Shared"]
    obj = rigs.face()
    obj.data.shape_keys.animation_data_create().action = bpy.data.actions["Shared"]
    with pytest.raises(FacescriptError) as error:
        timeline.write(find_target(obj), LONG)
    assert error.value.code == "linked_action"


def tweak(datablock: Any) -> None:
    """Put a datablock's action into a strip at frame 100, and the strip into tweak mode."""
    animation = datablock.animation_data
    action, slot = animation.action, getattr(animation, "action_slot", None)
    strip = animation.nla_tracks.new().strips.new("Strip", 100, action)
    if slot is not None:
        strip.action_slot = slot
    animation.action = None
    animation.use_tweak_mode = True
    assert animation.use_tweak_mode and animation.action == action


def test_a_strip_in_tweak_mode_is_refused_by_all_that_change_keys() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, LONG, fps=24.0)
    tweak(obj.data.shape_keys)
    before = state(obj)
    for change in (
        lambda: timeline.write(target, SHORT, fps=24.0),
        lambda: timeline.check(target),
        lambda: timeline.clear(target),
    ):
        with pytest.raises(FacescriptError, match="'Face' is in NLA tweak mode") as error:
            change()
        assert error.value.code == "tweak_mode"
        assert "Leave tweak mode (Tab in the NLA editor)" in error.value.hint
        assert state(obj) == before
    obj.data.shape_keys.animation_data.use_tweak_mode = False
    timeline.check(target)
    assert timeline.write(target, SHORT, fps=24.0).keys > 0


def test_tweak_mode_on_what_is_not_keyed_does_not_matter() -> None:
    obj = rigs.face()
    obj.keyframe_insert("location", frame=1)
    tweak(obj)
    target = find_target(obj)
    timeline.write(target, SHORT, fps=24.0)  # which does not move the head
    timeline.check(target, channels=BLEND_SHAPES)
    with pytest.raises(FacescriptError, match="tweak mode"):
        timeline.check(target)
    with pytest.raises(FacescriptError, match="tweak mode"):
        timeline.write(target, LONG, fps=24.0)


def gone_object(obj: Any, _folder: Path) -> dict[str, float]:
    obj.name = "Renamed"
    return {}


def gone_key(obj: Any, _folder: Path) -> dict[str, float]:
    obj.shape_key_remove(obj.data.shape_keys.key_blocks["jawOpen"])
    return {}


def gone_bone(obj: Any, _folder: Path) -> dict[str, float]:
    obj.parent.data.bones["head"].name = "crown"
    return {}


def linked_action(obj: Any, folder: Path) -> dict[str, float]:
    bpy.data.actions.new("Shared").use_fake_user = True
    bpy.data.libraries.write(str(folder / "actions.blend"), {bpy.data.actions["Shared"]}, fake_user=True)
    bpy.data.actions.remove(bpy.data.actions["Shared"])
    with bpy.data.libraries.load(str(folder / "actions.blend"), link=True) as (_, wanted):
        wanted.actions = ["Shared"]
    obj.data.shape_keys.animation_data_create().action = bpy.data.actions["Shared"]
    return {}


def all_locked(obj: Any, _folder: Path) -> dict[str, float]:
    for key in [k.name for k in obj.data.shape_keys.key_blocks][1:]:
        user_curve(obj, key, (1, 0.0)).lock = True
    bone = obj.parent.pose.bones["head"]
    bone.keyframe_insert("rotation_quaternion", frame=1)
    for curve in api.fcurves(api.find_place(obj.parent)):
        curve.lock = True
    return {}


def in_tweak_mode(obj: Any, _folder: Path) -> dict[str, float]:
    user_curve(obj, "jawOpen", (1, 0.0))
    tweak(obj.data.shape_keys)
    return {}


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (gone_object, "target_gone"),
        (gone_key, "target_gone"),
        (gone_bone, "target_gone"),
        (linked_action, "linked_action"),
        (all_locked, "nothing_to_write"),
        (in_tweak_mode, "tweak_mode"),
        (lambda *_: {"fps": 0.0}, "bad_fps"),
        (lambda *_: {"start_frame": 1_048_574 - 4 * 24 + 1, "fps": 24.0}, "bad_frame"),
    ],
)
def test_check_says_before_what_write_says_then(spoil: Any, code: str, tmp_path: Path) -> None:
    obj = rigs.face()
    rigs.bind(obj, rigs.armature({"head": ((0, 0, 0), (0, 0, 0.1), 0)}))
    target = find_target(obj)
    timeline.check(target, seconds=4.0, start_frame=1_048_574 - 4 * 24, fps=24.0)
    options = spoil(obj, tmp_path)
    before = state(obj)
    said = []
    for act in (
        lambda: timeline.check(target, seconds=4.0, **options),
        lambda: timeline.write(target, LONG, **options),
    ):
        with pytest.raises(FacescriptError) as error:
            act()
        assert error.value.code == code
        assert error.value.hint
        said.append(error.value.message)
        assert state(obj) == before
    assert said[0] == said[1]


def test_check_passes_if_one_channel_is_free_and_does_not_take_nonsense() -> None:
    obj = rigs.face(keys=["jawOpen", "browInnerUp"])
    user_curve(obj, "jawOpen", (1, 0.0)).lock = True
    target = find_target(obj)
    before = state(obj)
    timeline.check(target)
    assert state(obj) == before
    with pytest.raises(FacescriptError) as error:
        timeline.check(target, channels=["jawOpen"])
    assert error.value.code == "nothing_to_write"
    for seconds in (float("inf"), float("nan"), 1e9):
        with pytest.raises(FacescriptError) as error:
            timeline.check(target, seconds=seconds)
        assert error.value.code == "bad_frame"


def test_drivers_that_came_after_the_face_was_found_keep_their_properties() -> None:
    obj = rigs.face()
    target = find_target(obj)
    blocks = obj.data.shape_keys.key_blocks
    blocks["jawOpen"].driver_add("value")
    report = timeline.write(target, LONG, fps=24.0)
    assert not points(obj, "jawOpen")
    assert points(obj, "mouthSmileLeft")
    assert any("driven" in w and "jawOpen" in w for w in report.warnings)
    for block in blocks[1:]:
        block.driver_add("value")
    before = points(obj, "mouthSmileLeft")
    with pytest.raises(FacescriptError) as caught:
        timeline.write(target, performance((0.0, {"jawOpen": 0.5}), (1.0, {"jawOpen": 0.1})), fps=24.0)
    assert caught.value.code == "driven_keys"
    assert points(obj, "mouthSmileLeft") == before


def test_locked_curves_are_left_alone_and_named() -> None:
    obj = rigs.face()
    user_curve(obj, "jawOpen", (10, 0.7)).lock = True
    report = timeline.write(find_target(obj), LONG, fps=24.0)
    assert points(obj, "jawOpen") == [(10.0, 0.7)]
    assert any("jawOpen" in w for w in report.warnings)
    assert points(obj, "mouthSmileLeft")


def test_values_stay_in_a_keys_range_and_clipping_is_told() -> None:
    obj = rigs.face()
    obj.data.shape_keys.key_blocks["jawOpen"].slider_max = 0.4
    report = timeline.write(find_target(obj), LONG, fps=24.0)
    assert max(v for _, v in points(obj, "jawOpen")) == pytest.approx(0.4)
    assert report.clipped == ("Face: jawOpen goes to 0.50, its range ends at 0.40.",)


def test_both_halves_of_a_split_channel_are_keyed() -> None:
    obj = rigs.face(keys=["cheekPuff_L", "cheekPuff_R"])
    target = find_target(obj)
    timeline.write(target, performance((0.0, {}), (1.0, {"cheekPuff": 0.5})), fps=24.0)
    assert points(obj, "cheekPuff_L") == points(obj, "cheekPuff_R") != []
    assert timeline.read_pose(target, 25)["cheekPuff"] == pytest.approx(0.5)


def test_channels_that_the_face_has_not_are_told() -> None:
    keys = ["jawOpen", "browInnerUp", "cheekPuff"]
    report = timeline.write(find_target(rigs.face(keys=keys)), LONG, fps=24.0)
    assert report.channels == ("jawOpen", "headYaw")
    assert report.left_out == ("mouthSmileLeft", "mouthSmileRight")


def test_a_key_that_stands_at_something_is_told() -> None:
    obj = rigs.face()
    obj.data.shape_keys.key_blocks["tongueOut"].value = 0.5
    report = timeline.write(find_target(obj), LONG, fps=24.0)
    assert report.warnings == ("Face: tongueOut stands at 0.50, which is seen throughout.",)


def test_every_mesh_of_a_character_moves() -> None:
    parts = rigs.head(split=True)
    target = find_target(parts[0])
    report = timeline.write(target, LONG, start_frame=1, fps=24.0)
    # No key of the eyes is moved by this performance; as objects, they turn with the head.
    assert "I won! (Eyes shapes)" not in report.actions
    assert {f"I won! ({part.name})" for part in parts} <= set(report.actions)
    bpy.context.scene.frame_set(25)
    for part in parts:
        blocks = part.data.shape_keys.key_blocks
        if "jawOpen" in blocks:
            assert blocks["jawOpen"].value == pytest.approx(0.5), part.name
    bpy.context.scene.frame_set(49)
    turns = [np.array(part.matrix_world.to_3x3()) for part in parts]
    for turn in turns:
        np.testing.assert_allclose(turn, turns[0], atol=1e-6)
    assert not np.allclose(turns[0], np.eye(3))
    assert timeline.clear(target) == report.keys
    assert not bpy.data.actions


def test_two_meshes_with_one_action_are_written_once() -> None:
    head, teeth = rigs.face("Head"), rigs.face("Teeth", keys=["jawOpen", "mouthClose"])
    action = bpy.data.actions.new("Both")
    for obj in (head, teeth):
        obj.data.shape_keys.animation_data_create().action = action
    if api.SLOTTED:
        slot = action.slots.new(id_type="KEY", name="Both")
        for obj in (head, teeth):
            obj.data.shape_keys.animation_data.action_slot = slot
    target = find_target(head)
    timeline.write(target, LONG, fps=24.0)
    bpy.context.scene.frame_set(25)
    for obj in (head, teeth):
        assert obj.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.5)
    assert timeline.hand_edited_frames(target) == ()
    timeline.clear(target)
    assert not list(api.fcurves(api.find_place(head.data.shape_keys)))


def test_an_action_that_others_use_too_is_told() -> None:
    obj, other = rigs.face("Anna"), rigs.face("Ben", at=(5, 0, 0))
    user_curve(obj, "jawOpen", (300, 0.5))
    other.data.shape_keys.animation_data_create().action = obj.data.shape_keys.animation_data.action
    report = timeline.write(find_target(obj), LONG, fps=24.0)
    assert any("used elsewhere" in w for w in report.warnings)


@pytest.mark.skipif(not api.SLOTTED, reason="this Blender has no slots")
def test_other_slots_of_an_action_are_left_alone() -> None:
    obj = rigs.face()
    action = bpy.data.actions.new("Cast")
    for block in (obj.data.shape_keys, obj):
        animation = block.animation_data_create()
        animation.action = action
        animation.action_slot = action.slots.new(id_type=block.id_type, name=block.name)
    obj.keyframe_insert("location", frame=5)
    target = find_target(obj)
    before = state(obj)
    report = timeline.write(target, LONG, fps=24.0)
    assert set(report.actions) == {"Cast"}
    assert timeline.read_pose(target, 49)["headYaw"] == pytest.approx(0.3, abs=1e-4)
    timeline.write(target, LONG, fps=24.0)
    timeline.clear(target)
    assert state(obj) == before


def test_curves_are_grouped_by_region() -> None:
    obj = rigs.face()
    timeline.write(find_target(obj), LONG, fps=24.0)
    assert fcurve(obj, "jawOpen").group.name == "Jaw"
    assert fcurve(obj, "mouthSmileLeft").group.name == "Mouth"


def test_the_record_goes_with_the_file_and_a_broken_one_is_no_record(tmp_path: Path) -> None:
    target = find_target(rigs.face())
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"), check_existing=False)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert timeline.hand_edited_frames(target) == ()
    obj = bpy.data.objects["Face"]
    action = obj.data.shape_keys.animation_data.action
    kept = action[records.PROPERTY]
    for broken in (
        "",
        "{",
        "[]",
        "7",
        '{"version": 1}',
        '{"version": 1, "slots": {"0": {"curves": [[1]]}}}',
        5,
    ):
        action[records.PROPERTY] = broken
        timeline.write(target, SHORT, start_frame=1, fps=24.0)
        assert points(obj, "jawOpen"), broken
    action[records.PROPERTY] = kept
    assert timeline.clear(target) > 0


def test_writing_survives_undo_and_redo() -> None:
    bpy.context.preferences.edit.use_global_undo = True
    obj = rigs.face()
    target = find_target(obj)
    bpy.ops.ed.undo_push(message="made")
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    written = state(bpy.data.objects["Face"])
    bpy.ops.ed.undo_push(message="written")
    bpy.ops.ed.undo()
    assert api.find_place(bpy.data.objects["Face"].data.shape_keys) is None
    bpy.ops.ed.redo()
    assert state(bpy.data.objects["Face"]) == written
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    assert state(bpy.data.objects["Face"]) == written


def test_names_with_quotes_and_dots_are_escaped() -> None:
    obj = rigs.face(
        keys={
            "jawOpen": 'a"b\\c.jawOpen',
            "browInnerUp": 'a"b\\c.browInnerUp',
            "cheekPuff": 'a"b\\c.cheekPuff',
        }
    )
    target = find_target(obj)
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    bpy.context.scene.frame_set(25)
    assert obj.data.shape_keys.key_blocks['a"b\\c.jawOpen'].value == pytest.approx(0.5)
    timeline.clear(target)
    assert obj.data.shape_keys.key_blocks['a"b\\c.jawOpen'].value == 0.0


def test_a_performance_at_rest_takes_the_last_one_away() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, LONG, fps=24.0)
    still: Performance = performance((0.0, {}), (1.0, {}))
    report = timeline.write(target, still, fps=24.0)
    assert (report.keys, report.curves) == (0, 0)
    assert not bpy.data.actions


def test_edits_can_be_kept_inside_the_range() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    curve = fcurve(obj, "jawOpen")
    changed = next(p for p in curve.keyframe_points if p.co.x == 49.0)
    changed.co.y = 0.9
    curve.keyframe_points.insert(70, 0.33)
    edited = {p for p in points(obj, "jawOpen") if p[0] in (49.0, 70.0)}
    assert edited == {(49.0, 0.9), (70.0, 0.33)}
    for _ in range(2):
        timeline.write(target, LONG, start_frame=1, fps=24.0, keep_edits=True)
        assert edited < set(points(obj, "jawOpen"))
        assert (25.0, 0.5) in points(obj, "jawOpen")
        assert timeline.hand_edited_frames(target) == (49, 70)
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    assert (49.0, 0.2) in points(obj, "jawOpen")
    assert timeline.hand_edited_frames(target) == ()


def test_performances_can_follow_one_another() -> None:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, LONG, start_frame=1, fps=24.0)
    first = points(obj, "jawOpen")
    assert first
    report = timeline.write(target, LONG, start_frame=201, style="linear", fps=24.0, append=True)
    assert points(obj, "jawOpen") == [*first, (201, 0.0), (225, 0.5), (249, 0.2), (297, 0.0)]
    assert timeline.hand_edited_frames(target) == ()
    assert timeline.clear(target) > report.keys
    assert not bpy.data.actions


def test_a_linked_action_that_need_not_change_does_not_matter(tmp_path: Path) -> None:
    bpy.data.actions.new("Walk").use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "actions.blend"), check_existing=False)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "actions.blend"), link=True) as (_, wanted):
        wanted.actions = ["Walk"]
    obj = rigs.face()
    obj.animation_data_create().action = bpy.data.actions["Walk"]
    target = find_target(obj)
    assert timeline.write(target, SHORT, fps=24.0).curves == 1
    with pytest.raises(FacescriptError, match="Walk"):
        timeline.write(target, LONG, fps=24.0)
    assert points(obj, "jawOpen") == []


def test_only_the_performances_keys_are_counted() -> None:
    obj = rigs.face()
    user_curve(obj, "browInnerUp", (-10, 0.1), (200, 0.2))
    report = timeline.write(find_target(obj), SHORT, start_frame=1, style="linear", fps=24.0)
    assert (report.curves, report.keys) == (1, 2)


def test_keys_of_a_renamed_shape_key_are_still_ours() -> None:
    obj = rigs.face()
    blocks = obj.data.shape_keys.key_blocks
    blocks["jawOpen"].value = 0.25
    before = state(obj)
    timeline.write(find_target(obj), LONG, fps=24.0)
    for key in ("jawOpen", "mouthSmileLeft", "mouthSmileRight"):
        blocks[key].name = f"My {key}"
    assert points(obj, "My jawOpen")
    target = find_target(obj)
    assert timeline.hand_edited_frames(target) == ()
    assert timeline.clear(target) > 0
    for key in ("jawOpen", "mouthSmileLeft", "mouthSmileRight"):
        blocks[f"My {key}"].name = key
    assert state(obj) == before
    assert blocks["jawOpen"].value == pytest.approx(0.25)


def test_writing_after_a_shape_key_was_renamed_takes_its_keys_away() -> None:
    obj = rigs.face()
    timeline.write(find_target(obj), LONG, fps=24.0)
    obj.data.shape_keys.key_blocks["jawOpen"].name = "not mine"
    timeline.write(find_target(obj), SHORT, fps=24.0)
    assert fcurve(obj, "not mine") is None
    assert points(obj, "browInnerUp")


def test_a_renamed_bone_keeps_its_rest_and_is_cleared() -> None:
    obj = rigs.face()
    arm = rigs.armature({"head": ((0, 0, 0), (0, 0, 0.1), 0)})
    rigs.bind(obj, arm)
    arm.pose.bones["head"].rotation_quaternion = (0.8, 0.6, 0.0, 0.0)
    timeline.write(find_target(obj), LONG, fps=24.0)
    arm.data.bones["head"].name = "Head"
    target = find_target(obj)
    assert target.head[0].bone == "Head"
    assert timeline.read_pose(target, 49)["headYaw"] == pytest.approx(0.3, abs=1e-4)
    timeline.clear(target)
    assert arm.animation_data.action is None
    assert tuple(arm.pose.bones["Head"].rotation_quaternion) == pytest.approx((0.8, 0.6, 0.0, 0.0))


def test_what_the_animator_changed_on_a_renamed_key_stays() -> None:
    obj = rigs.face()
    timeline.write(find_target(obj), LONG, fps=24.0)
    curve = fcurve(obj, "jawOpen")
    curve.keyframe_points[1].co.y = 0.9
    frame = curve.keyframe_points[1].co.x
    obj.data.shape_keys.key_blocks["jawOpen"].name = "jaw_open"
    target = find_target(obj)
    assert timeline.hand_edited_frames(target) == (frame,)
    timeline.clear(target)
    assert points(obj, "jaw_open") == [(frame, 0.9)]


def test_the_animators_own_curve_is_not_taken_for_a_lost_one() -> None:
    obj = rigs.face()
    timeline.write(find_target(obj), LONG, fps=24.0)
    mine = [*points(obj, "jawOpen")]
    # A copy of our curve while ours is there, and one on other frames when ours is gone.
    user_curve(obj, "tongueOut", *mine)
    assert timeline.clear(find_target(obj)) > 0
    assert points(obj, "tongueOut") == mine
    timeline.write(find_target(obj), LONG, fps=24.0)
    user_curve(obj, "cheekPuff", *((f + 1, v) for f, v in mine))
    obj.shape_key_remove(obj.data.shape_keys.key_blocks["jawOpen"])
    timeline.clear(find_target(obj))
    assert len(points(obj, "cheekPuff")) == len(mine)
