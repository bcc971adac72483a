# SPDX-License-Identifier: GPL-3.0-or-later
"""Undo and redo where keys were dragged: they do not stop before the list has followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.rig_mapping import blender_api  # noqa: E402


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


def test_undo_and_redo_pass_by_what_was_dragged_and_not_followed_yet(
    extension: Any, performed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    following, faces = extension.module("operators.following"), extension.module("operators.faces")
    follower, gone = following._follower, []
    monkeypatch.setattr(following, "travel", lambda direction: gone.append(direction) is None)
    _rest(extension)
    _drag(performed, 40.0, 100.0)
    place = (faces.find(performed), performed.facescript, bpy.context.scene)
    dragged = following._state(*place)
    _rest(extension)
    assert [row.frame for row in performed.facescript.beats] == [1, 25, 149]
    # Where all agrees, undo and redo have arrived.
    for follower.travelled in ("undo", "redo"):
        _rest(extension)
    assert gone == [] and following._state(*place) != dragged
    monkeypatch.setattr(following, "_state", lambda *place: dragged)
    for follower.travelled in ("undo", "redo"):
        follower.look()
    assert gone == ["undo", "redo"]


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
