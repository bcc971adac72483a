# SPDX-License-Identifier: GPL-3.0-or-later
"""What the animator did by hand is found, and goes with its beat when the performance is written anew."""

from __future__ import annotations

from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
import pytest
from amounts import examples
from facescript.performance import Performance
from facescript.rig_mapping import blender_api as api
from facescript.rig_mapping import curves, hand_edits, styles, timeline
from facescript.rig_mapping.carry import Carry, anchors, apart
from facescript.rig_mapping.hand_edits import HandEdits
from facescript.rig_mapping.targets import Target, find_target
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_performances import performance

FPS = 24.0
STORY = performance(
    (0.0, {}),
    (1.0, {"jawOpen": 0.5, "mouthSmile": 0.8}),
    (2.0, {"jawOpen": 0.2, "browInnerUp": 0.6, "headYaw": 0.3}),
    (4.0, {"cheekPuff": 0.4}),
)
BEATS = np.array([1, 25, 49, 97])


def spans(beats: Any = BEATS) -> Any:
    return curves.beat_spans(np.asarray(beats), styles.get("natural"), FPS)


def find(target: Target, shown: Performance = STORY, beats: Any = BEATS) -> HandEdits:
    return hand_edits.find(target, shown, np.asarray(beats), spans(beats))


def fcurve(obj: Any, key: str) -> Any:
    return api.find_fcurve(api.find_place(obj.data.shape_keys), f'key_blocks["{key}"].value', 0)


def points(obj: Any, key: str) -> list[tuple[float, float]]:
    curve = fcurve(obj, key)
    return [] if curve is None else [(round(p.co.x, 3), round(p.co.y, 4)) for p in curve.keyframe_points]


def all_curves(obj: Any) -> list[Any]:
    return [c for block in (obj, obj.data.shape_keys) for c in api.fcurves(api.find_place(block))]


def drag(curve: Any, start: float, end: float, distance: float) -> None:
    """Move the keys in a range, as the Dope Sheet does."""
    for p in curve.keyframe_points:
        if start <= p.co.x <= end:
            for part in (p.co, p.handle_left, p.handle_right):
                part.x += distance


def set_value(obj: Any, key: str, frame: float, value: float) -> None:
    point = next(p for p in fcurve(obj, key).keyframe_points if abs(p.co.x - frame) < 0.1)
    change = value - point.co.y
    for part in (point.co, point.handle_left, point.handle_right):
        part.y += change


@pytest.fixture
def face() -> tuple[Any, Target]:
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, STORY, start_frame=1, fps=FPS)
    return obj, target


def at(frames: list[int], poses: list[dict[str, float]] | None = None) -> Performance:
    """The story with its beats at frames, or also with other poses."""
    shown = poses or [k.pose.active(0.0) for k in STORY.keyframes]
    return performance(*(((f - frames[0]) / FPS, pose) for f, pose in zip(frames, shown, strict=True)))


def carry(before: Performance, old: Any, new: Any, reshaped: tuple[int, ...] = (), **more: Any) -> Carry:
    return Carry(before, np.asarray(old), anchors(old, new), spans(old), np.asarray(new), frozenset(reshaped), **more)


def test_nothing_was_done(face: Any) -> None:
    assert find(face[1]) == HandEdits({}, {})


def test_a_dragged_column_of_keys_is_a_moved_beat(face: Any) -> None:
    obj, target = face
    for curve in all_curves(obj):
        drag(curve, 43, 49, 6)
    assert find(target) == HandEdits({2: 6.0}, {})


def test_a_neck_and_a_head_that_stay_have_one_vote_together() -> None:
    # As where the Dope Sheet shows the selected mesh and not the armature.
    obj = rigs.face()
    rigs.bind(obj, rigs.armature({"neck": ((0, 0, -0.2), (0, 0, -0.1), 0.0), "head": ((0, 0, -0.1), (0, 0, 0.1), 0.0)}))
    target = find_target(obj)
    assert [turn.bone for turn in target.head] == ["neck", "head"]
    timeline.write(target, STORY, start_frame=1, fps=FPS)
    for curve in api.fcurves(api.find_place(obj.data.shape_keys)):
        drag(curve, 43, 49, 6)
    assert find(target) == HandEdits({2: 6.0}, {})


def test_one_dragged_channel_is_a_changed_pose_and_no_moved_beat(face: Any) -> None:
    obj, target = face
    drag(fcurve(obj, "cheekPuff"), 80, 97, 10)
    found = find(target)
    assert found.moves == {}
    # The cheeks are not full yet at frame 97.
    assert set(found.poses) == {3}
    assert found.poses[3]["cheekPuff"] < 0.2


def test_all_keys_dragged_are_all_beats_moved(face: Any) -> None:
    obj, target = face
    for curve in all_curves(obj):
        drag(curve, 0, 200, 12.5)
    assert find(target) == HandEdits({0: 12.5, 1: 12.5, 2: 12.5, 3: 12.5}, {})


def test_a_changed_value_is_the_beats_pose(face: Any) -> None:
    obj, target = face
    set_value(obj, "jawOpen", 25, 0.9)
    found = find(target)
    assert found.moves == {}
    assert found.poses == {1: {"jawOpen": pytest.approx(0.9)}}


def test_a_key_on_a_new_channel_is_the_beats_pose_there_alone(face: Any) -> None:
    obj, target = face
    block = obj.data.shape_keys.key_blocks["tongueOut"]
    block.value = 0.7
    block.keyframe_insert("value", frame=49)
    assert find(target).poses == {2: {"tongueOut": pytest.approx(0.7)}}


def test_a_deleted_key_is_found(face: Any) -> None:
    obj, target = face
    curve = fcurve(obj, "cheekPuff")
    curve.keyframe_points.remove(next(p for p in curve.keyframe_points if p.co.x == 97.0))
    assert find(target).poses == {3: {"cheekPuff": pytest.approx(0.0)}}


def test_a_key_between_beats_changes_no_beat(face: Any) -> None:
    obj, target = face
    fcurve(obj, "jawOpen").keyframe_points.insert(20, 0.1)
    assert find(target) == HandEdits({}, {})


def test_what_stands_without_keys_is_no_part_of_a_pose_by_hand(face: Any) -> None:
    obj, target = face
    # It is looked at beside every other channel of the gaze, and nothing animates it.
    obj.data.shape_keys.key_blocks["eyeLookDownLeft"].value = 1.0
    shown = performance((0.0, {}), (1.0, {"eyeLookInLeft": 0.5}), (2.0, {"jawOpen": 0.2}))
    timeline.write(target, shown, start_frame=1, fps=FPS)
    # The eyes are there two frames before the rest of the face, and stay until the next beat.
    for frame in (23, 42):
        set_value(obj, "eyeLookInLeft", frame, 0.8)
    poses = find(target, shown, [1, 25, 49]).poses
    assert {name: round(value, 3) for name, value in poses[1].items()} == {"eyeLookInLeft": 0.8, "leftEyeYaw": -0.8}


def replaced_by_hand(obj: Any, key: str, frame: int, to: int) -> None:
    """Take a key of ours off and put one of the animator's at `to`, with its value and the shape that ours have."""
    curve = fcurve(obj, key)
    old = next(p for p in curve.keyframe_points if abs(p.co.x - frame) < 0.1)
    value = old.co.y
    curve.keyframe_points.remove(old)
    new = curve.keyframe_points.insert(to, value)
    new.handle_left_type = new.handle_right_type = "ALIGNED"
    new.handle_left, new.handle_right = (to - 3.0, value), (to + 3.0, value)
    new.interpolation, new.amplitude = "BEZIER", 1234.0


def test_a_key_of_the_animators_in_place_of_ours_is_the_animators(face: Any) -> None:
    obj, target = face
    replaced_by_hand(obj, "jawOpen", 25, 25)
    moved = [1, 25, 49, 109]
    timeline.write(target, at(moved), start_frame=1, fps=FPS, carry=carry(STORY, BEATS, moved))
    kept = next(p for p in fcurve(obj, "jawOpen").keyframe_points if abs(p.co.x - 25) < 0.1)
    assert (kept.amplitude, kept.handle_left.x) == (1234.0, 22.0)


def test_a_key_of_the_animators_with_a_value_of_ours_is_no_beat_that_was_dragged() -> None:
    obj = rigs.face()
    target = find_target(obj)
    short = performance((0.0, {}), (1.0, {"jawOpen": 0.5}))
    timeline.write(target, short, start_frame=1, fps=FPS)
    replaced_by_hand(obj, "jawOpen", 25, 33)
    assert find(target, short, [1, 25]).moves == {}


def test_fingerprints_tell_changes(face: Any) -> None:
    obj, target = face
    before = hand_edits.fingerprint(target)
    assert hand_edits.fingerprint(target) == before
    set_value(obj, "jawOpen", 25, 0.51)
    assert hand_edits.fingerprint(target) != before


def test_keys_by_hand_go_with_their_beat_in_time(face: Any) -> None:
    obj, target = face
    fcurve(obj, "jawOpen").keyframe_points.insert(37, 0.11)
    fcurve(obj, "jawOpen").keyframe_points.insert(73, 0.12)
    # The beat at 49 goes to 61: what lies half-way before and after it stays half-way.
    moved = [1, 25, 61, 97]
    later = at(moved)
    timeline.write(target, later, start_frame=1, fps=FPS, carry=carry(STORY, BEATS, moved))
    assert {(43.0, 0.11), (79.0, 0.12)} < set(points(obj, "jawOpen"))
    assert find(target, later, moved).moves == {}


def test_keys_by_hand_keep_their_distance_from_a_pose_that_changes(face: Any) -> None:
    obj, target = face
    # A twitch while the mouth is held open at 0.5.
    fcurve(obj, "jawOpen").keyframe_points.insert(29, 0.55)
    changed = [dict(k.pose.active(0.0)) for k in STORY.keyframes]
    changed[1] = {"jawOpen": 0.3, "mouthSmile": 0.8}
    softer = at([1, 25, 49, 97], changed)
    timeline.write(target, softer, start_frame=1, fps=FPS, carry=carry(STORY, BEATS, BEATS, (1,)))
    assert {(25.0, 0.3), (29.0, 0.35)} < set(points(obj, "jawOpen"))


def test_what_stands_out_of_a_sliders_range_stays_so_where_no_pose_changes(face: Any) -> None:
    obj, target = face
    point = fcurve(obj, "jawOpen").keyframe_points.insert(150.0, 1.2)
    point.handle_left_type = point.handle_right_type = "FREE"
    point.handle_left, point.handle_right = (148.0, -0.3), (152.0, 1.7)
    changed = [dict(k.pose.active(0.0)) for k in STORY.keyframes]
    changed[1] = {"jawOpen": 0.3, "mouthSmile": 0.8}
    softer = at([1, 25, 49, 97], changed)
    timeline.write(target, softer, start_frame=1, fps=FPS, carry=carry(STORY, BEATS, BEATS, (1,)))
    left = next(p for p in fcurve(obj, "jawOpen").keyframe_points if p.co.x == 150.0)
    found = [round(v, 4) for part in (left.co, left.handle_left, left.handle_right) for v in part]
    assert found == [150.0, 1.2, 148.0, -0.3, 152.0, 1.7]


def test_keys_by_hand_of_a_beat_that_is_given_up_go(face: Any) -> None:
    obj, target = face
    set_value(obj, "jawOpen", 25, 0.9)
    fcurve(obj, "jawOpen").keyframe_points.insert(73, 0.12)
    more = {"dropped": frozenset({1})}
    timeline.write(target, STORY, start_frame=1, fps=FPS, carry=carry(STORY, BEATS, BEATS, **more))
    assert (25.0, 0.5) in points(obj, "jawOpen")
    assert (73.0, 0.12) in points(obj, "jawOpen")


def test_a_key_by_hand_on_a_channel_that_is_not_used_any_more_is_seen_only_there(face: Any) -> None:
    obj, target = face
    fcurve(obj, "browInnerUp").keyframe_points.insert(37, 0.3)
    changed = [dict(k.pose.active(0.0)) for k in STORY.keyframes]
    changed[2] = {"jawOpen": 0.2, "headYaw": 0.3}
    timeline.write(target, at([1, 25, 49, 97], changed), start_frame=1, fps=FPS, carry=carry(STORY, BEATS, BEATS, (2,)))
    assert points(obj, "browInnerUp") == [(25.0, 0.0), (37.0, 0.3), (49.0, 0.0)]
    # What is written after that knows whose keys these are.
    timeline.write(target, STORY, start_frame=1, fps=FPS, carry=carry(at([1, 25, 49, 97], changed), BEATS, BEATS, (2,)))
    assert (37.0, 0.3) in points(obj, "browInnerUp")
    assert (49.0, 0.6) in points(obj, "browInnerUp")


def test_dragged_keys_are_the_performances_again_after_writing(face: Any) -> None:
    obj, target = face
    for curve in all_curves(obj):
        drag(curve, 43, 49, 6)
    found = find(target)
    moved = [1, 25, 55, 97]
    later = at(moved)
    held = carry(STORY, moved, moved, dragged=hand_edits.drags(found.moves, spans()))
    timeline.write(target, later, start_frame=1, fps=FPS, carry=held)
    assert find(target, later, moved) == HandEdits({}, {})
    assert timeline.hand_edited_frames(target) == ()
    fresh = rigs.face(name="Fresh")
    timeline.write(find_target(fresh), later, start_frame=1, fps=FPS)
    assert points(obj, "browInnerUp") == points(fresh, "browInnerUp")


def test_a_key_that_would_land_on_another_goes_aside() -> None:
    # The second comes upon the third, which stays; the first is at a beat and may be there; the last comes to a beat
    # from behind it.
    frames = np.array([10.0, 20.0, 20.005, 29.995, 40.004])
    movable = np.array([True, True, False, True, True])
    found = apart(frames, movable, np.array([10.0, 30.0, 40.0]))
    assert found == pytest.approx([10.0, 19.98, 20.005, 29.975, 40.024])


hand_keys = st.lists(
    st.tuples(
        st.sampled_from(["jawOpen", "mouthSmileLeft", "browInnerUp", "cheekPuff", "tongueOut"]),
        st.floats(-30.0, 140.0, width=16) | st.integers(-30, 140).map(float),
        st.floats(0.0, 1.0, width=16),
    ),
    max_size=8,
)


@settings(max_examples=examples(60), deadline=None)
@example([("jawOpen", 85.0, 1.0), ("jawOpen", 120.0, 0.0)], [1, 57, 16, 1], 50).via("one carried onto one that stays")
@given(hand_keys, st.lists(st.integers(1, 60), min_size=4, max_size=4), st.integers(-20, 50))
def test_no_key_by_hand_is_ever_lost(keys: list[tuple[str, float, float]], gaps: list[int], start: int) -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    obj = rigs.face()
    target = find_target(obj)
    timeline.write(target, STORY, start_frame=1, fps=FPS)
    place = api.find_place(obj.data.shape_keys)
    mine: dict[str, dict[float, float]] = {}
    for key, frame, value in keys:
        path = f'key_blocks["{key}"].value'
        curve = api.find_fcurve(place, path, 0) or api.make_fcurve(place, path, 0, "Mine")
        curve.keyframe_points.insert(frame, value)
        mine.setdefault(key, {})[frame] = value
    before = {key: points(obj, key) for key in mine}
    moved = [start + sum(gaps[:i]) for i in range(4)]
    later = at(moved)
    timeline.write(target, later, start_frame=moved[0], fps=FPS, carry=carry(STORY, BEATS, moved))
    for key, values in mine.items():
        left = points(obj, key)
        # Blender has taken keys within a hundredth of a frame for one.
        there = [(frame, value) for frame, value in values.items() if (round(frame, 3), round(value, 4)) in before[key]]
        for frame, value in there:
            assert any(abs(v - value) < 1e-3 for _, v in left), (key, frame, value, left)
            # Those outside the old performance are where they were.
            if frame < 1 or frame > 97:
                assert any(abs(x - frame) < 1e-3 and abs(v - value) < 1e-3 for x, v in left), (key, frame, value, left)
