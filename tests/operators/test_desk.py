# SPDX-License-Identifier: GPL-3.0-or-later
"""Editing a performance, through the installed zip: list, markers and keys agree, and work by hand is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from amounts import examples  # noqa: E402
from facescript.rig_mapping import blender_api as api  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from scenes import key_by_hand, keys  # noqa: E402

ROWS: list[dict[str, Any]] = [
    {"t": 0.0, "text": "The face rests", "pose": {"jawOpen": 0.2, "headYaw": 0.5}},
    {"t": 1.0, "text": "A smile, the mouth opens", "pose": {"jawOpen": 0.6, "headYaw": -0.5, "mouthSmile": 0.5}},
    {"t": 2.0, "text": "The eyes close", "pose": {"jawOpen": 0.1, "eyeBlink": 1.0}},
    {"t": 3.0, "text": "The left brow goes up", "pose": {"jawOpen": 0.3, "browOuterUpLeft": 0.5}},
]


@pytest.fixture
def face(extension: Any, tmp_path: Path) -> Any:
    """The demo face's settings, with four beats on the timeline."""
    return four_beats(tmp_path)


def four_beats(folder: Path) -> Any:
    path = folder / "performance.jsonl"
    path.write_text(json.dumps({"script": "Hi.", "keyframes": ROWS}))
    bpy.context.scene.render.fps = 24
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.import_performance(filepath=str(path))
    return bpy.context.view_layer.objects.active.facescript


def frames(face: Any) -> list[int]:
    return [beat.frame for beat in face.beats]


def texts(face: Any) -> list[str]:
    return [beat.text for beat in face.beats]


def markers() -> list[tuple[int, str]]:
    return sorted((marker.frame, marker.name) for marker in bpy.context.scene.timeline_markers)


def curve(face: Any, shape: str) -> Any:
    place = api.find_place(face.id_data.data.shape_keys)
    return api.find_fcurve(place, f'key_blocks["{shape}"].value', 0)


def points(face: Any, shape: str) -> list[tuple[float, float]]:
    found = curve(face, shape)
    return [] if found is None else [(round(p.co.x, 2), round(p.co.y, 3)) for p in found.keyframe_points]


def shown(face: Any, shape: str, frame: float) -> float:
    found = curve(face, shape)
    return round(found.evaluate(frame), 3) if found is not None else 0.0


def set_value(face: Any, shape: str, frame: float, value: float) -> None:
    """Change a key as the Graph Editor does: its handles go along."""
    point = next(p for p in curve(face, shape).keyframe_points if abs(p.co.x - frame) < 0.1)
    change = value - point.co.y
    for part in (point.co, point.handle_left, point.handle_right):
        part.y += change


def drag(face: Any, start: float, end: float, distance: float) -> None:
    """Move every key of the face in a range, as the Dope Sheet does."""
    rig = next(o for o in bpy.data.objects if o.type == "ARMATURE")
    for block in (face.id_data.data.shape_keys, rig):
        for found in api.fcurves(api.find_place(block)):
            for p in found.keyframe_points:
                if start <= p.co.x <= end:
                    for part in (p.co, p.handle_left, p.handle_right):
                        part.x += distance


def select(face: Any, index: int) -> None:
    face.active_beat = index


def follow() -> None:
    """Going along the beats follows what was done by hand first, as every edit does."""
    assert bpy.ops.facescript.step_beat(step=0) == {"FINISHED"}


def test_every_beat_has_a_marker_with_its_description(face: Any) -> None:
    assert markers() == [(1, ROWS[0]["text"]), (25, ROWS[1]["text"]), (49, ROWS[2]["text"]), (73, ROWS[3]["text"])]


def test_markers_can_be_turned_off_and_on(face: Any) -> None:
    bpy.context.scene.timeline_markers.new("Mine", frame=5)
    face.show_markers = False
    assert markers() == [(5, "Mine")]
    face.show_markers = True
    assert len(markers()) == 5


def test_dragging_a_marker_moves_the_beat_and_its_keys(face: Any) -> None:
    bpy.context.scene.timeline_markers["The eyes close"].frame = 60
    follow()
    assert frames(face) == [1, 25, 60, 73]
    assert shown(face, "eyeBlinkLeft", 60) == 1.0
    assert shown(face, "eyeBlinkLeft", 49) == 0.0


def test_dragging_a_marker_past_another_changes_the_order(face: Any) -> None:
    bpy.context.scene.timeline_markers["A smile, the mouth opens"].frame = 55
    follow()
    assert frames(face) == [1, 49, 55, 73]
    assert texts(face)[1:3] == ["The eyes close", "A smile, the mouth opens"]
    assert shown(face, "mouthSmileLeft", 55) == 0.5


def test_renaming_a_marker_edits_the_description(face: Any) -> None:
    bpy.context.scene.timeline_markers["The eyes close"].name = "Eyes squeezed shut"
    follow()
    assert texts(face)[2] == "Eyes squeezed shut"
    assert face.beats[2].posed == "The eyes close"


def test_editing_a_description_renames_the_marker(face: Any) -> None:
    before = keys()
    face.beats[2].text = "Eyes squeezed shut"
    assert markers()[2] == (49, "Eyes squeezed shut")
    assert keys() == before


def test_a_deleted_marker_takes_no_beat_away(face: Any) -> None:
    bpy.context.scene.timeline_markers.remove(bpy.context.scene.timeline_markers["The eyes close"])
    follow()
    assert frames(face) == [1, 25, 49, 73]


def test_dragging_all_keys_of_a_beat_moves_list_and_marker(face: Any) -> None:
    drag(face, 66, 73, 10)
    follow()
    assert frames(face) == [1, 25, 49, 83]
    assert markers()[-1] == (83, "The left brow goes up")
    assert shown(face, "browOuterUpLeft", 83) == 0.5


def test_a_frame_typed_into_the_list_moves_keys_and_marker(face: Any) -> None:
    face.beats[1].frame = 30
    assert markers()[1][0] == 30
    assert shown(face, "mouthSmileLeft", 30) == 0.5
    # Beyond its neighbour it stops before it.
    face.beats[1].frame = 400
    assert frames(face) == [1, 48, 49, 73]


def test_strengths_scale_what_is_shown(face: Any) -> None:
    face.beats[1].strength = 0.5
    assert shown(face, "jawOpen", 25) == pytest.approx(0.3, abs=1e-3)
    assert shown(face, "mouthSmileLeft", 25) == pytest.approx(0.25, abs=1e-3)
    # Brows, eyes, nose and cheeks, mouth, jaw, head.
    face.beats[1].regions = (1.0, 1.0, 1.0, 2.0, 1.0, 1.0)
    assert shown(face, "jawOpen", 25) == pytest.approx(0.3, abs=1e-3)
    assert shown(face, "mouthSmileLeft", 25) == pytest.approx(0.5, abs=1e-3)
    face.beats[1].strength, face.beats[1].regions = 1.0, (1.0,) * 6
    assert shown(face, "jawOpen", 25) == pytest.approx(0.6, abs=1e-3)


def test_a_pose_changed_by_hand_is_noticed_kept_and_locked(face: Any) -> None:
    set_value(face, "jawOpen", 25, 0.9)
    follow()
    assert [beat.by_hand for beat in face.beats] == [False, True, False, False]
    assert face.beats[1].locked
    assert json.loads(face.beats[1].pose)["jawOpen"] == pytest.approx(0.9)
    # It is kept when beats around it move, and goes with its own.
    face.beats[2].frame = 60
    assert shown(face, "jawOpen", 25) == 0.9
    face.beats[1].frame = 33
    assert shown(face, "jawOpen", 33) == 0.9


def test_a_new_channel_keyed_by_hand_belongs_to_its_beat_alone(face: Any) -> None:
    key_by_hand(face.id_data, "tongueOut", 49, 0.7)
    follow()
    assert [beat.by_hand for beat in face.beats] == [False, False, True, False]
    # The next edit of the beats brings the tongue in and out around its beat.
    face.beats[0].frame = 2
    assert shown(face, "tongueOut", 49) == pytest.approx(0.7)
    assert shown(face, "tongueOut", 25) == 0.0 == shown(face, "tongueOut", 73)


def test_opening_the_lock_gives_a_beat_back(face: Any) -> None:
    set_value(face, "jawOpen", 25, 0.9)
    curve(face, "jawOpen").keyframe_points.insert(28, 0.95)
    follow()
    face.beats[1].locked = False
    assert not face.beats[1].by_hand
    # Its pose stays; its keys are the performance's again.
    assert shown(face, "jawOpen", 25) == 0.9
    assert 28.0 not in [x for x, _ in points(face, "jawOpen")]
    bpy.ops.facescript.clear()
    assert keys() == []


def test_keys_between_beats_are_kept_and_keep_their_place(face: Any) -> None:
    curve(face, "jawOpen").keyframe_points.insert(61, 0.77)
    face.beats[3].frame = 97
    # Half-way from 49 to 73 is half-way from 49 to 97.
    assert (73.0, 0.77) in points(face, "jawOpen")
    bpy.ops.facescript.clear()
    assert points(face, "jawOpen") == [(73.0, 0.77)]


def test_inserting_at_the_current_frame_changes_nothing_that_is_seen_there(face: Any) -> None:
    bpy.context.scene.frame_set(37)
    before = {shape: shown(face, shape, 37) for shape in ("jawOpen", "mouthSmileLeft")}
    assert bpy.ops.facescript.insert_beat() == {"FINISHED"}
    assert frames(face) == [1, 25, 37, 49, 73]
    assert face.active_beat == 2
    assert {shape: shown(face, shape, 37) for shape in before} == pytest.approx(before, abs=2e-3)
    assert texts(face)[2]


def test_splitting_merging_duplicating_and_deleting(face: Any) -> None:
    select(face, 1)
    bpy.context.scene.frame_set(37)
    bpy.ops.facescript.split_beat()
    assert list(zip(frames(face), texts(face), strict=True))[1:3] == [(25, "A smile."), (37, "The mouth opens")]
    select(face, 1)
    bpy.ops.facescript.merge_beats()
    assert frames(face) == [1, 25, 49, 73]
    assert texts(face)[1] == "A smile; the mouth opens"
    assert shown(face, "jawOpen", 25) == 0.6
    bpy.ops.facescript.duplicate_beat()
    assert frames(face) == [1, 25, 37, 49, 73]
    assert face.active_beat == 2
    bpy.ops.facescript.delete_beat()
    assert frames(face) == [1, 25, 49, 73]
    assert len(markers()) == 4


def test_moving_a_beat_with_those_after_it(face: Any) -> None:
    select(face, 1)
    bpy.ops.facescript.move_beat(frames=10, following=True)
    assert frames(face) == [1, 35, 59, 83]
    bpy.context.scene.frame_set(40)
    bpy.ops.facescript.move_beat(here=True)
    assert frames(face) == [1, 40, 59, 83]


def test_mirroring_exchanges_the_sides_in_pose_and_words(face: Any) -> None:
    select(face, 3)
    bpy.ops.facescript.mirror_beat()
    assert texts(face)[3] == "The right brow goes up"
    assert (shown(face, "browOuterUpLeft", 73), shown(face, "browOuterUpRight", 73)) == (0.0, 0.5)


def test_softening_and_exaggerating(face: Any) -> None:
    select(face, 1)
    bpy.ops.facescript.scale_beats(factor=0.5)
    assert shown(face, "jawOpen", 25) == pytest.approx(0.3, abs=1e-3)
    face.beats[0].locked = True
    bpy.ops.facescript.scale_beats(factor=2.0, everything=True)
    assert [round(beat.strength, 3) for beat in face.beats] == [1.0, 1.0, 2.0, 2.0]


def test_a_pose_is_copied_to_another_beat(face: Any) -> None:
    bpy.context.window_manager.clipboard = ""
    select(face, 1)
    bpy.ops.facescript.copy_pose()
    if not bpy.context.window_manager.clipboard:
        pytest.skip("this machine has no clipboard: tested in the window")
    select(face, 2)
    bpy.ops.facescript.paste_pose()
    assert texts(face)[2] == texts(face)[1]
    assert shown(face, "mouthSmileLeft", 49) == 0.5 and shown(face, "eyeBlinkLeft", 49) == 0.0


def test_what_the_face_stands_at_becomes_a_beat_of_the_animators(face: Any) -> None:
    bpy.context.scene.frame_set(61)
    blocks = face.id_data.data.shape_keys.key_blocks
    blocks["cheekPuff"].value = 0.8
    bpy.ops.facescript.key_pose()
    assert frames(face) == [1, 25, 49, 61, 73]
    assert face.beats[3].by_hand and face.beats[3].locked
    assert shown(face, "cheekPuff", 61) == pytest.approx(0.8)
    assert shown(face, "cheekPuff", 73) == 0.0


def test_a_pose_is_put_in_words(face: Any) -> None:
    select(face, 2)
    before = keys()
    bpy.ops.facescript.describe_beat()
    assert "eyes" in texts(face)[2].lower() or "lids" in texts(face)[2].lower()
    assert face.beats[2].posed == texts(face)[2]
    assert keys() == before


def test_another_style_is_written_at_once(face: Any) -> None:
    before = points(face, "jawOpen")
    face.style = "linear"
    assert points(face, "jawOpen") == [(1.0, 0.2), (25.0, 0.6), (49.0, 0.1), (73.0, 0.3)]
    face.style = "natural"
    assert points(face, "jawOpen") == before


def test_the_head_can_be_left_out(face: Any) -> None:
    assert [path for _, path, *_ in keys() if "bones" in path]
    face.move_head = False
    assert not [path for _, path, *_ in keys() if "bones" in path]
    face.move_head = True
    assert [path for _, path, *_ in keys() if "bones" in path]


def test_an_edit_that_cannot_be_made_changes_nothing(face: Any) -> None:
    before = keys(), markers(), texts(face)
    select(face, 3)
    with pytest.raises(RuntimeError, match="no beat after this one"):
        bpy.ops.facescript.merge_beats()
    assert (keys(), markers(), texts(face)) == before


def test_a_locked_beat_survives_another_performance(face: Any, tmp_path: Path) -> None:
    set_value(face, "jawOpen", 25, 0.9)
    other = tmp_path / "other.jsonl"
    rows = [{"t": t, "text": f"at {t}", "pose": {"browInnerUp": 0.4}} for t in (0.0, 1.05, 2.5)]
    other.write_text(json.dumps({"script": "Another.", "keyframes": rows}))
    bpy.ops.facescript.import_performance(filepath=str(other))
    # The new beat at frame 26 gives way to the one at 25.
    assert frames(face) == [1, 25, 61]
    assert texts(face)[1] == "A smile, the mouth opens"
    assert shown(face, "jawOpen", 25) == 0.9
    assert shown(face, "browInnerUp", 61) == pytest.approx(0.4)


def state(face: Any) -> Any:
    rows = [(b.key, b.frame, b.text, b.pose, b.posed, b.strength, tuple(b.regions), b.locked) for b in face.beats]
    return rows, markers(), keys(), face.style


STEPS: list[Callable[[Any], Any]] = [
    lambda face: setattr(face.beats[1], "strength", 0.7),
    lambda face: bpy.ops.facescript.insert_beat(),
    lambda face: setattr(face.beats[0], "frame", 3),
    lambda face: bpy.ops.facescript.mirror_beat(),
    lambda face: setattr(face, "style", "snappy"),
    lambda face: set_value(face, "jawOpen", face.beats[-1].frame, 0.8),
    lambda face: bpy.ops.facescript.split_beat(),
    lambda face: setattr(face.beats[-1], "locked", False),
    lambda face: bpy.ops.facescript.scale_beats(factor=1.2),
    lambda face: bpy.ops.facescript.duplicate_beat(),
    lambda face: setattr(bpy.context.scene.timeline_markers[0], "frame", 2),
    lambda face: bpy.ops.facescript.delete_beat(),
    lambda face: setattr(face, "style", "natural"),
    lambda face: bpy.ops.facescript.move_beat(frames=4, following=True),
    lambda face: bpy.ops.facescript.describe_beat(),
]


def test_undo_and_redo_through_thirty_steps_bring_back_every_state(face: Any) -> None:
    """Pushed as the window manager pushes a step after an operator or an edit in the panel."""
    name = face.id_data.name
    bpy.ops.ed.undo_push(message="Start")
    states = [state(face)]
    for number in range(30):
        face = bpy.data.objects[name].facescript
        bpy.context.scene.frame_set(face.beats[-1].frame + 10)
        face.active_beat = len(face.beats) - 1
        STEPS[number % len(STEPS)](face)
        # As the timer does in a window: what was done by hand is followed before the step is closed.
        follow()
        bpy.ops.ed.undo_push(message=f"Step {number}")
        states.append(state(bpy.data.objects[name].facescript))
    for expected in reversed(states[:-1]):
        bpy.ops.ed.undo()
        assert state(bpy.data.objects[name].facescript) == expected
    for expected in states[1:]:
        bpy.ops.ed.redo()
        assert state(bpy.data.objects[name].facescript) == expected


def test_the_beats_work_after_saving_and_opening(face: Any, tmp_path: Path) -> None:
    set_value(face, "jawOpen", 25, 0.9)
    path = str(tmp_path / "face.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    face = bpy.data.objects["ARKit Face"].facescript
    assert frames(face) == [1, 25, 49, 73]
    assert face.beats[1].by_hand
    face.beats[1].frame = 31
    assert shown(face, "jawOpen", 31) == 0.9
    assert markers()[1][0] == 31


def test_the_beats_work_after_the_face_was_appended_to_another_file(face: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "face.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(path) as (source, wanted):
        wanted.objects = list(source.objects)
    for obj in wanted.objects:
        bpy.context.scene.collection.objects.link(obj)
    obj = bpy.data.objects["ARKit Face"]
    bpy.context.view_layer.objects.active = obj
    assert frames(obj.facescript) == [1, 25, 49, 73]
    obj.facescript.beats[2].frame = 55
    assert shown(obj.facescript, "eyeBlinkLeft", 55) == 1.0
    assert [frame for frame, _ in markers()] == [1, 25, 55, 73]


def regenerate(extension: Any, at: int, jaw: float) -> None:
    """Write another pose for a beat that is not locked, as a worker's answer is written."""
    desk = extension.module("operators.desk").open_desk(bpy.context)
    beat_list, shapes = (extension.module(f"performance.{name}") for name in ("beat_list", "pose"))
    made = extension.module("performance.model").Keyframe(
        0.0, "made anew", shapes.Pose.from_dict({"jawOpen": jaw, "mouthSmile": 0.2})
    )
    change = extension.module("operators.regenerate")._made
    if not desk.beats[at].locked:
        desk.write(beat_list.changed(desk.beats, at, lambda beat: change(beat, made)))


frame_numbers = st.integers(0, 90)
edits = st.lists(
    st.one_of(
        st.tuples(
            st.just("hand"), st.sampled_from(["jawOpen", "mouthSmileLeft"]), st.integers(0, 90), st.integers(1, 9)
        ),
        st.tuples(st.just("marker"), st.integers(0, 5), st.integers(1, 120)),
        st.tuples(st.just("frame"), st.integers(0, 5), st.integers(1, 120)),
        st.tuples(st.just("strength"), st.integers(0, 5), st.sampled_from([0.5, 1.0, 1.5])),
        st.tuples(st.just("lock"), st.integers(0, 5)),
        st.tuples(st.just("insert"), st.integers(1, 100)),
        st.tuples(st.just("duplicate"), st.integers(0, 5)),
        st.tuples(st.just("regenerate"), st.integers(0, 5), st.sampled_from([0.3, 0.9])),
        st.tuples(st.just("undo")),
    ),
    max_size=8,
)


@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_edits_by_hand_are_never_lost_and_all_that_shows_beats_agrees(
    extension: Any, tmp_path: Path, steps: list[tuple[Any, ...]]
) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    name = four_beats(tmp_path).id_data.name
    bpy.ops.ed.undo_push(message="Start")
    pushed = 0
    # How many keys of the animator's there must be on each channel: he only adds.
    mine: list[dict[str, int]] = [{}]
    for kind, *values in steps:
        face = bpy.data.objects[name].facescript
        now = dict(mine[-1])
        at = values[0] % len(face.beats) if values and isinstance(values[0], int) else 0
        if kind == "hand":
            # Between beats, on a frame where there is no key, with a value that no beat has.
            taken = {x for x, _ in points(face, values[0])} | set(frames(face))
            if curve(face, values[0]) is not None and values[1] + 0.5 not in taken:
                curve(face, values[0]).keyframe_points.insert(values[1] + 0.5, 0.001 * values[2])
                now[values[0]] = now.get(values[0], 0) + 1
        elif kind == "marker" and markers():
            found = sorted(bpy.context.scene.timeline_markers, key=lambda m: m.frame)
            found[values[0] % len(found)].frame = values[1]
        elif kind == "frame":
            face.beats[at].frame = values[1]
        elif kind == "strength":
            face.beats[at].strength = values[1]
        elif kind == "lock" and not face.beats[at].by_hand:
            face.beats[at].locked = not face.beats[at].locked
        elif kind == "insert":
            bpy.context.scene.frame_set(values[0])
            bpy.ops.facescript.insert_beat()
        elif kind == "regenerate":
            regenerate(extension, at, values[1])
        elif kind == "duplicate":
            face.active_beat = at
            try:
                bpy.ops.facescript.duplicate_beat()
            except RuntimeError as error:
                assert "no frame free" in str(error)
        if kind == "undo":
            if not pushed:
                continue
            bpy.ops.ed.undo()
            pushed -= 1
            mine.pop()
        else:
            # A beat that came to lie on a key of the animator's has that key's value, which is followed next.
            follow()
            follow()
            bpy.ops.ed.undo_push(message=kind)
            pushed += 1
            mine.append(now)
        face = bpy.data.objects[name].facescript
        assert sorted(m.frame for m in bpy.context.scene.timeline_markers) == frames(face)
        for beat in face.beats:
            pose = beat.keyframe().pose
            for shape in ("jawOpen", "mouthSmileLeft"):
                # What is off by less than 0.004 was not changed by a person.
                assert shown(face, shape, beat.frame) == pytest.approx(pose[shape], abs=5e-3)
        for shape, count in mine[-1].items():
            assert sum(abs(x - round(x)) > 0.01 or y < 0.02 for x, y in points(face, shape)) >= count
