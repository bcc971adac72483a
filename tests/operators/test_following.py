# SPDX-License-Identifier: GPL-3.0-or-later
"""The list, markers and keys after what the animator did to one of them, and what undo makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from facescript.rig_mapping import blender_api  # noqa: E402
from scenes import ENTRY, keys  # noqa: E402


def _rest(extension: Any) -> None:
    """Look as the timer does, until nothing is left to follow."""
    follower = extension.module("operators.following")._follower
    calm = 0
    for _ in range(200):
        extension.module("operators.faces")._look()
        follower.look()
        calm = calm + 1 if follower.at_rest else 0
        if calm == 4:
            return
    raise AssertionError("it does not come to rest")


def _drag(obj: Any, start: float, distance: float) -> None:
    for block in (obj, obj.parent, obj.data.shape_keys):
        for curve in blender_api.fcurves(blender_api.find_place(block)):
            for point in curve.keyframe_points:
                if point.co.x >= start:
                    for part in (point.co, point.handle_left, point.handle_right):
                        part.x += distance


def _state(extension: Any, obj: Any) -> bytes:
    faces, held = extension.module("operators.faces"), extension.module("operators.held")
    following, steps = extension.module("operators.following"), extension.module("rig_mapping.steps")
    state: bytes = steps.finish(following._state_steps(held.Held(faces.find(obj), bpy.context.scene)))
    return state


def test_undo_and_redo_pass_by_what_was_dragged_and_not_followed_yet(
    extension: Any, performed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = extension.module("operators.following")
    follower, gone = following._follower, []
    monkeypatch.setattr(following, "travel", lambda direction: gone.append(direction) is None)
    _rest(extension)
    _drag(performed, 40.0, 100.0)
    dragged = _state(extension, performed)
    _rest(extension)
    assert [row.frame for row in performed.facescript.beats] == [1, 25, 149]
    # Where all agrees, undo and redo have arrived.
    for follower.travelled in ("undo", "redo"):
        _rest(extension)
    assert gone == [] and _state(extension, performed) != dragged
    monkeypatch.setattr(following, "finish", lambda steps: dragged)
    for follower.travelled in ("undo", "redo"):
        follower.look()
    assert gone == ["undo", "redo"]


def _curves(obj: Any) -> list[Any]:
    places = [blender_api.find_place(block) for block in (obj, obj.parent, obj.data.shape_keys)]
    return [curve for place in places for curve in blender_api.fcurves(place)]


def _copy(curve: Any, frame: float, to: float) -> None:
    """Duplicate what lies at a frame, as Blender does: with all of its properties."""
    keys = blender_api.read_keys(curve)
    row = keys["co"][:, 0] == frame
    copied = {name: np.concatenate([values, values[row]]) for name, values in keys.items()}
    for name in ("co", "handle_left", "handle_right"):
        copied[name][len(row) :, 0] += to - frame
    blender_api.write_keys(curve, copied)


def test_copies_of_keys_are_the_animators_and_no_place_where_a_beat_has_gone(extension: Any, performed: Any) -> None:
    rows = performed.facescript.beats
    for curve in _curves(performed):
        _copy(curve, 25.0, 300.0)
    _rest(extension)
    rows[0].strength = 0.5
    _rest(extension)
    for curve in _curves(performed):
        at = [i for i, point in enumerate(curve.keyframe_points) if point.co.x == 25.0]
        for i in reversed(at):
            curve.keyframe_points.remove(curve.keyframe_points[i])
    _rest(extension)
    assert [row.frame for row in rows] == [1, 25, 49]
    copies = [p.co.y for curve in _curves(performed) for p in curve.keyframe_points if p.co.x == 300.0]
    assert sum(abs(value - 0.6) < 1e-4 for value in copies) == 1


def test_of_two_meshes_on_one_rig_the_list_that_was_written_last_counts_whatever_they_are_called(
    extension: Any, performed: Any
) -> None:
    faces = extension.module("operators.faces")
    performed.name = "Head"
    bpy.ops.object.duplicate()
    copy = bpy.context.view_layer.objects.active
    assert copy.name == "Head.001" and faces.find(copy).owner.name == "Head"
    performed.facescript.active_beat = 1
    bpy.ops.facescript.move_beat(frames=10, following=True)
    _rest(extension)
    written = [row.frame for row in performed.facescript.beats]
    assert written == [1, 35, 59] and not copy.facescript.beats
    assert sorted(marker.frame for marker in bpy.context.scene.timeline_markers) == written
    for name in ("A", "Z"):
        copy.name = name
        assert faces.find(copy).owner.name == faces.find(performed).owner.name == "Head"
        _rest(extension)
        assert [row.frame for row in performed.facescript.beats] == written


def _curl(obj: Any) -> None:
    curve = next(iter(blender_api.fcurves(blender_api.find_place(obj.data.shape_keys))))
    curve.keyframe_points[0].handle_right_type = "FREE"
    curve.keyframe_points[0].handle_right.y += 0.01


_STEPS_OF_UNDO: dict[str, Callable[[Any], object]] = {
    "a handle": _curl,
    "a text": lambda obj: setattr(obj.facescript.beats[1], "text", "She frowns."),
    "a region": lambda obj: obj.facescript.beats[2].regions.__setitem__(0, 0.5),
    "a lock": lambda obj: setattr(obj.facescript.beats[0], "locked", True),
    "a setting": lambda obj: setattr(obj.facescript.motion, "attack", 0.31),
    "an emotion": lambda obj: setattr(obj.facescript, "emotion", "Calm"),
    "a name of the mapping": lambda obj: setattr(obj.facescript_mapping.rows[0], "name", "Jaw"),
    "a number of the mapping": lambda obj: setattr(obj.facescript_mapping.rows[0], "gain", 0.4),
    "an object of the mapping": lambda obj: setattr(obj.facescript_mapping.rows[0], "object", obj),
    "a marker": lambda obj: bpy.context.scene.timeline_markers.new("mine", frame=7),
}


@pytest.mark.parametrize("change", _STEPS_OF_UNDO.values(), ids=_STEPS_OF_UNDO)
def test_states_of_undo_differ_by_whatever_was_changed(
    extension: Any, performed: Any, change: Callable[[Any], object]
) -> None:
    performed.facescript_mapping.rows.add()
    before = _state(extension, performed)
    assert _state(extension, performed) == before
    change(performed)
    assert _state(extension, performed) != before


def test_what_is_only_selected_is_no_state_of_undo(extension: Any, performed: Any) -> None:
    before = _state(extension, performed)
    performed.facescript.active_beat = 2
    assert _state(extension, performed) == before


def test_where_nothing_follows_undo_stops(extension: Any, performed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    following, gone = extension.module("operators.following"), []
    monkeypatch.setattr(following, "travel", lambda direction: gone.append(direction) is None)
    _rest(extension)
    # Another key of the animator's, on no beat: it is seen, and the list has nothing to learn of it.
    performed.data.shape_keys.key_blocks["jawOpen"].keyframe_insert("value", frame=400)
    _rest(extension)
    following._follower.travelled = "undo"
    _rest(extension)
    assert gone == []


@pytest.mark.parametrize("shown", [True, False])
def test_a_face_in_two_scenes_keeps_its_markers_in_step_in_both(extension: Any, performed: Any, shown: bool) -> None:
    scene, other = bpy.context.scene, bpy.data.scenes.new("Other")
    window = bpy.context.window_manager.windows[0]
    for obj in (performed, performed.parent):
        other.collection.objects.link(obj)

    def show(place: Any) -> None:
        window.scene = place
        place.view_layers[0].objects.active = performed
        _rest(extension)

    def frames(place: Any) -> list[int]:
        return sorted(marker.frame for marker in place.timeline_markers)

    rows = performed.facescript.beats
    try:
        show(other)
        performed.facescript.active_beat = 1
        assert bpy.ops.facescript.move_beat(frames=10, following=True) == {"FINISHED"}
        rows[2].text = "Both lips press"
        _rest(extension)
        assert [row.frame for row in rows] == [1, 35, 59]
        if not shown:
            performed.facescript.show_markers = False
            assert frames(scene) == frames(other) == []
            assert bpy.ops.facescript.move_beat(frames=-5, following=False) == {"FINISHED"}
        else:
            assert frames(scene) == frames(other) == [1, 35, 59]
        before = [row.frame for row in rows]
        show(scene)
        # Going back to a scene moves nothing.
        assert [row.frame for row in rows] == before
        performed.facescript.show_markers = True
        assert frames(scene) == before
        assert [row.text for row in rows][2] == "Both lips press"
    finally:
        window.scene = scene
        bpy.data.scenes.remove(other)


def test_beats_that_share_a_marker_get_their_own_however_many_are_placed_at_once(
    extension: Any, performed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    markers, steps = extension.module("operators.markers"), extension.module("rig_mapping.steps")
    monkeypatch.setattr(markers, "_ROWS", 1)
    rows = performed.facescript.beats
    rows[2].marker = rows[0].marker
    steps.finish(markers.place(bpy.context.scene, lambda: rows))
    assert len({row.marker for row in rows}) == 3
    found = markers.find(bpy.context.scene, rows)
    assert [found[row.key].frame for row in rows] == [1, 25, 49]


def test_saving_in_another_scene_leaves_a_face_to_its_own(extension: Any, performed: Any, tmp_path: Path) -> None:
    scene, other = bpy.context.scene, bpy.data.scenes.new("Other")
    # The second marker was dragged, and nothing has followed it yet.
    next(marker for marker in scene.timeline_markers if marker.frame == 25).frame = 30
    window = bpy.context.window_manager.windows[0]
    window.scene = other
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "two scenes.blend"))
    finally:
        window.scene = scene
    assert len(other.timeline_markers) == 0
    assert [row.frame for row in performed.facescript.beats] == [1, 30, 49]
    assert sorted(marker.frame for marker in scene.timeline_markers) == [1, 30, 49]


def test_saving_is_silent_of_a_face_that_cannot_follow(extension: Any, performed: Any, tmp_path: Path) -> None:
    session = extension.module("operators.session").session()
    for block in performed.data.shape_keys.key_blocks[1:]:
        block.driver_add("value")
    # Of a face that is in hand it would be said.
    extension.module("operators.desk").rewrite(performed)
    assert session.error.code == "driven_keys"
    session.error = None
    assert bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "driven.blend")) == {"FINISHED"}
    assert session.error is None


def _begin(extension: Any, steps: int) -> None:
    """Have the follower begin, and take so many of its steps, as the timer does in several turns."""
    follower, session = extension.module("operators.following")._follower, extension.session
    for _ in range(50):
        extension.module("operators.faces")._look()
        follower.look()
        if session.following is not None:
            break
    following = session.following
    for _ in range(steps):
        next(following._steps)
    following.begun, following._left = True, following._sight()


@pytest.mark.parametrize("steps", [10, 40])
def test_what_is_half_followed_does_not_come_back_over_a_cleared_face(
    extension: Any, performed: Any, steps: int
) -> None:
    _rest(extension)
    _drag(performed, 46.5, 30.0)
    _begin(extension, steps)
    assert bpy.ops.facescript.clear() == {"FINISHED"}
    for _ in range(20):
        extension.module("operators.faces")._look()
        extension.module("operators.following")._follower.look()
    assert len(performed.facescript.beats) == 0
    assert keys() == []


@pytest.mark.parametrize("steps", [10, 40])
def test_what_is_half_followed_does_not_come_back_over_an_import(
    extension: Any, performed: Any, steps: int, tmp_path: Path
) -> None:
    other = ENTRY | {"keyframes": [{"t": 0.0, "text": "jaw opens", "pose": {"jawOpen": 0.7}}]}
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps(other))
    _rest(extension)
    _drag(performed, 40.0, 30.0)
    _begin(extension, steps)
    assert bpy.ops.facescript.import_performance(filepath=str(path)) == {"FINISHED"}
    _rest(extension)
    assert [row.text for row in performed.facescript.beats] == ["jaw opens"]


@pytest.mark.parametrize("steps", [8, 25, 40, 55, 70])
def test_what_is_typed_while_keys_are_followed_stays(extension: Any, performed: Any, steps: int) -> None:
    rows = performed.facescript.beats
    _rest(extension)
    _drag(performed, 40.0, 30.0)
    _begin(extension, steps)
    rows[0].text = "Eyes narrow"
    rows[0].locked = True
    rows[1].strength = 0.5
    _rest(extension)
    assert [row.frame for row in rows] == [1, 25, 79]
    assert (rows[0].text, rows[0].locked) == ("Eyes narrow", True)
    assert (rows[1].strength, rows[1].written_strength) == (0.5, 0.5)
    smile = [key for key in keys() if "mouthSmileLeft" in key[1] and key[3] == 25.0]
    assert [round(key[4], 3) for key in smile] == [0.3]


def test_a_marker_of_the_animators_is_not_taken_for_one_that_was_deleted(extension: Any, performed: Any) -> None:
    scene, rows = bpy.context.scene, performed.facescript.beats
    scene.timeline_markers.new("Cut 3", frame=25)
    _rest(extension)
    scene.timeline_markers.remove(scene.timeline_markers[rows[1].marker])
    _rest(extension)
    assert rows[1].text == "the left corner hooks up"
    assert bpy.ops.facescript.clear() == {"FINISHED"}
    assert [(marker.name, marker.frame) for marker in scene.timeline_markers] == [("Cut 3", 25)]


def test_a_marker_that_is_renamed_renames_its_beat(extension: Any, performed: Any) -> None:
    scene, rows = bpy.context.scene, performed.facescript.beats
    scene.timeline_markers.new("Cut 3", frame=25)
    _rest(extension)
    scene.timeline_markers[rows[1].marker].name = "A sneer"
    _rest(extension)
    assert rows[1].text == "A sneer"


def test_a_copy_of_a_beats_marker_stays_where_it_was_put(extension: Any, performed: Any) -> None:
    scene, rows = bpy.context.scene, performed.facescript.beats
    _rest(extension)
    name = rows[1].marker
    scene.timeline_markers.new(name, frame=400)
    _rest(extension)
    rows[2].strength = 0.5
    _rest(extension)
    assert sorted(marker.frame for marker in scene.timeline_markers) == [1, 25, 49, 400]
    assert bpy.ops.facescript.clear() == {"FINISHED"}
    assert [(marker.name, marker.frame) for marker in scene.timeline_markers] == [(name, 400)]


def test_strength_that_locked_curves_cannot_show_is_given_back(extension: Any, performed: Any) -> None:
    rows = performed.facescript.beats
    _rest(extension)
    for curve in blender_api.fcurves(blender_api.find_place(performed.data.shape_keys)):
        if "eyeBlink" in curve.data_path:
            for point in curve.keyframe_points:
                if point.co.x == 49.0:
                    for part in (point.co, point.handle_left, point.handle_right):
                        part.y -= 0.2
            curve.lock = True
    _rest(extension)
    rows[2].strength = 0.3
    _rest(extension)
    faces, desk = extension.module("operators.faces"), extension.module("operators.desk")
    at = desk.Desk.of(faces.target_of(performed), performed.facescript, bpy.context.scene)
    before = at.beats
    desk.follow(at)
    assert at.beats == before


def test_a_face_whose_bone_was_renamed_is_found_anew(extension: Any, performed: Any) -> None:
    rows = performed.facescript.beats
    _rest(extension)
    performed.parent.data.bones["head"].name = "Kopf"
    follower = extension.module("operators.following")._follower
    for _ in range(6):
        extension.module("operators.faces")._look()
        follower.look()
    extension.session.note = "Said meanwhile."
    follower.look()
    assert extension.session.note == "Said meanwhile."
    rows[1].strength = 0.5
    assert rows[1].written_strength == 0.5
