# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes of a face: what each one holds, and how they are switched, copied, joined and removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.rig_mapping import blender_api  # noqa: E402
from scenes import cube_with_keys, keys, state  # noqa: E402

OTHER = {
    "script": "No.",
    "keyframes": [
        {"t": 0.0, "text": "calm", "pose": {}},
        {"t": 0.5, "text": "the brows drop", "pose": {"browDown": 0.7}},
    ],
}


def held(face: Any) -> dict[str, Any]:
    """All that a face's settings hold, as plain values."""
    found: dict[str, Any] = {}
    for prop in face.bl_rna.properties:
        if prop.identifier == "rna_type":
            continue
        value = getattr(face, prop.identifier)
        if prop.type == "COLLECTION":
            found[prop.identifier] = [held(row) for row in value]
        elif isinstance(value, bpy.types.PropertyGroup):
            found[prop.identifier] = held(value)
        else:
            found[prop.identifier] = tuple(value) if getattr(prop, "is_array", False) else value
    return found


def marks() -> list[tuple[str, int]]:
    return sorted((marker.name, marker.frame) for marker in bpy.context.scene.timeline_markers)


def everything(obj: Any) -> tuple[Any, ...]:
    return held(obj.facescript), keys(), marks(), state()["values"]


def names(obj: Any) -> list[str]:
    return [row.name for row in obj.facescript_takes.rows]


def import_other(tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps(OTHER))
    assert bpy.ops.facescript.import_performance(filepath=str(path)) == {"FINISHED"}


@pytest.fixture
def two(performed: Any, tmp_path: Path) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """A face with two takes, the second one shown; and all of each of them."""
    face = performed.facescript
    face.style, face.seed, face.emotion = "soft", 7, "Smug"
    face.text = bpy.data.texts.new("Scene 1")
    face.beats[1].locked = True
    first = everything(performed)
    assert bpy.ops.facescript.new_take() == {"FINISHED"}
    assert keys() == [] and marks() == [] and not face.beats
    assert (face.style, face.seed, face.emotion, face.text.name) == ("soft", 7, "Smug", "Scene 1")
    face.text, face.style = None, "snappy"
    import_other(tmp_path)
    return performed, first, everything(performed)


def test_flipping_brings_back_exactly_what_was_there(two: Any) -> None:
    obj, first, second = two
    assert names(obj) == ["Take 1", "Take 2"]
    for expected in (first, second, first, second):
        assert bpy.ops.facescript.flip_take() == {"FINISHED"}
        assert everything(obj) == expected


def test_showing_a_take_by_its_place(two: Any) -> None:
    obj, first, second = two
    bpy.ops.facescript.show_take(index=0)
    assert everything(obj) == first
    bpy.ops.facescript.show_take(index=0)
    assert everything(obj) == first
    bpy.ops.facescript.show_take(index=1)
    assert everything(obj) == second
    with pytest.raises(RuntimeError, match="There is no take 3"):
        bpy.ops.facescript.show_take(index=2)


def test_a_marker_that_was_dragged_is_followed_before_its_take_waits(two: Any) -> None:
    obj, *_ = two
    marker = next(m for m in bpy.context.scene.timeline_markers if m.frame == 13)
    marker.frame = 20
    bpy.ops.facescript.flip_take()
    bpy.ops.facescript.flip_take()
    assert [beat.frame for beat in obj.facescript.beats] == [1, 20]
    assert ("the brows drop", 20) in marks()


def test_keys_and_modifiers_of_the_animators_go_with_their_take(two: Any) -> None:
    obj, *_ = two
    data = obj.data.shape_keys
    block = data.key_blocks["jawOpen"]
    block.value = 0.4
    block.keyframe_insert("value", frame=7.5)
    with_key = keys()
    bpy.ops.facescript.flip_take()
    bpy.ops.facescript.flip_take()
    assert keys() == with_key


def test_a_copy_of_the_shown_take_is_shown_and_is_the_same(two: Any) -> None:
    obj, _, second = two
    bpy.ops.facescript.duplicate_take()
    assert names(obj) == ["Take 1", "Take 2", "Take 2 2"]
    assert everything(obj) == second
    bpy.ops.facescript.delete_beat()
    bpy.ops.facescript.flip_take()
    assert everything(obj) == second


def test_a_copy_of_a_take_that_waits(two: Any) -> None:
    obj, first, second = two
    obj.facescript_takes.active = 0
    bpy.ops.facescript.duplicate_take()
    assert everything(obj) == second
    bpy.ops.facescript.show_take(index=2)
    assert everything(obj) == first
    bpy.ops.facescript.show_take(index=0)
    assert everything(obj) == first


def test_beats_of_one_text_keep_a_marker_each(performed: Any) -> None:
    face, scene = performed.facescript, bpy.context.scene
    # The second one has the name that the first one is given when the take is shown again.
    for name, row in zip(("the same 2", "the same"), face.beats, strict=False):
        row.text = "the same"
        scene.timeline_markers[row.marker].name = row.marker = name
    frames = [row.frame for row in face.beats]
    bpy.ops.facescript.new_take()
    bpy.ops.facescript.show_take(index=0)
    assert [row.frame for row in face.beats] == frames
    assert marks() == sorted((row.marker, row.frame) for row in face.beats)
    assert [row.marker for row in face.beats][:2] == ["the same", "the same 2"]


def test_a_duplicate_has_markers_of_its_own(extension: Any, tmp_path: Path) -> None:
    face = cube_with_keys(["jawOpen", "browDownLeft", "browDownRight", "mouthSmileLeft", "mouthSmileRight"])
    import_other(tmp_path)
    frames = [row.frame for row in face.facescript.beats]
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == face)
    bpy.ops.object.duplicate()
    copy = bpy.context.view_layer.objects.active
    copy.location.x = 10.0
    assert bpy.ops.facescript.move_beat(frames=3, following=True) == {"FINISHED"}
    assert [row.frame for row in copy.facescript.beats] == [frame + 3 for frame in frames]
    bpy.context.view_layer.objects.active = face
    assert bpy.ops.facescript.move_beat(frames=1, following=False) == {"FINISHED"}
    assert [row.frame for row in face.facescript.beats] == [frames[0] + 1, *frames[1:]]
    assert [row.frame for row in copy.facescript.beats] == [frame + 3 for frame in frames]
    rows = [row for obj in (face, copy) for row in obj.facescript.beats]
    assert marks() == sorted((row.marker, row.frame) for row in rows)


def test_the_takes_of_a_duplicate_are_its_own(extension: Any, tmp_path: Path) -> None:
    face = cube_with_keys(["jawOpen", "browDownLeft", "browDownRight", "mouthSmileLeft", "mouthSmileRight"])
    import_other(tmp_path)
    bpy.ops.facescript.new_take()
    waiting = [key.action for key in face.facescript_takes.rows[0].keys]
    before = [(action.name, sum(1 for _ in blender_api.fcurves(blender_api.place_of(action)))) for action in waiting]
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == face)
    bpy.ops.object.duplicate()
    copy = bpy.context.view_layer.objects.active
    copy.location.x = 10.0
    assert copy != face and len(copy.facescript_takes.rows) == 2
    assert bpy.ops.facescript.show_take(index=0) == {"FINISHED"}
    assert [row.text for row in copy.facescript.beats] == ["calm", "the brows drop"]
    left = [key.action for key in face.facescript_takes.rows[0].keys]
    assert [(a.name, sum(1 for _ in blender_api.fcurves(blender_api.place_of(a)))) for a in left] == before
    bpy.context.view_layer.objects.active = face
    assert bpy.ops.facescript.show_take(index=0) == {"FINISHED"}
    names = {row[0] for row in keys()}
    assert names == {face.data.shape_keys.name, copy.data.shape_keys.name}


def test_deleting_a_take_leaves_nothing_of_it(two: Any) -> None:
    obj, first, _ = two
    bpy.ops.facescript.delete_take()
    assert names(obj) == ["Take 1"] and everything(obj) == first
    assert len(bpy.data.actions) == len({key[0] for key in first[1]})
    before = state()
    with pytest.raises(RuntimeError, match="the only take"):
        bpy.ops.facescript.delete_take()
    assert state() == before


def test_a_take_is_appended_after_the_end_of_the_shown_one(two: Any) -> None:
    obj, *_ = two
    obj.facescript_takes.active = 0
    assert bpy.ops.facescript.append_take(gap=1.0) == {"FINISHED"}
    beats = obj.facescript.beats
    assert [beat.text for beat in beats] == [
        "calm",
        "the brows drop",
        "a neutral face",
        "the left corner hooks up",
        "eyes closed",
    ]
    assert [beat.frame - beats[2].frame for beat in beats[2:]] == [0, 24, 48]
    assert beats[2].frame - 24 >= beats[1].frame
    assert beats[3].locked and not beats[1].locked
    assert json.loads(obj.facescript.performed)["script"] == "No.\nOh, really?"
    assert len(marks()) == 5
    obj.facescript_takes.active = 1
    with pytest.raises(RuntimeError, match="the one that is shown"):
        bpy.ops.facescript.append_take()


def test_other_animation_stays(performed: Any) -> None:
    performed.location.x = 2.0
    performed.keyframe_insert("location", frame=5)
    mine = [key for key in keys() if key[1] == "location"]
    everything_before = everything(performed)
    bpy.ops.facescript.new_take()
    assert keys() == mine
    bpy.ops.facescript.flip_take()
    assert everything(performed) == everything_before


def test_takes_survive_undo_and_redo(two: Any) -> None:
    obj, first, second = two
    name = obj.name
    bpy.context.preferences.edit.use_global_undo = True
    bpy.ops.ed.undo_push(message="second")
    bpy.ops.facescript.flip_take()
    bpy.ops.ed.undo_push(message="flipped")
    bpy.ops.ed.undo()
    assert everything(bpy.data.objects[name])[1:] == second[1:]
    bpy.ops.ed.redo()
    assert everything(bpy.data.objects[name])[1:] == first[1:]
    bpy.ops.facescript.flip_take()
    assert everything(bpy.data.objects[name])[1:] == second[1:]


def test_takes_survive_saving_and_appending_to_another_file(two: Any, tmp_path: Path) -> None:
    obj, first, second = two
    name, path = obj.name, str(tmp_path / "scene.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    bpy.ops.facescript.flip_take()
    assert keys() == first[1] and marks() == first[2]
    bpy.ops.facescript.flip_take()
    assert keys() == second[1] and marks() == second[2]
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = 24
    bpy.ops.wm.append(directory=f"{path}/Object/", filename=name)
    bpy.context.view_layer.objects.active = bpy.data.objects[name]
    assert keys() == second[1]
    bpy.ops.facescript.flip_take()
    assert keys() == first[1] and marks() == first[2]
    assert bpy.data.objects[name].facescript.text.name == "Scene 1"


def test_a_setting_that_takes_do_not_know_of_is_kept_too(two: Any) -> None:
    obj, *_ = two
    properties = {p.identifier for p in obj.facescript.bl_rna.properties}
    kept = {p.identifier for p in obj.facescript_takes.rows[0].face.bl_rna.properties}
    assert properties == kept


def nla_tracks() -> list[str]:
    return sorted(
        f"{block.name}: {track.name}"
        for block in [*bpy.data.shape_keys, *bpy.data.objects]
        if block.animation_data
        for track in block.animation_data.nla_tracks
    )


def test_a_take_goes_on_the_nla_and_comes_back_for_editing(performed: Any) -> None:
    face, before = performed.facescript, everything(performed)
    smile = performed.data.shape_keys.key_blocks["mouthSmileLeft"]
    assert bpy.ops.facescript.place_on_nla() == {"FINISHED"}
    assert keys() == [] and marks() == [] and not face.beats and names(performed) == ["Take 1", "Take 2"]
    assert any(track.endswith(": Take 1") for track in nla_tracks())
    bpy.context.scene.frame_set(25)
    assert smile.value == pytest.approx(0.6, abs=1e-3)
    for refused in (bpy.ops.facescript.show_take, bpy.ops.facescript.delete_take, bpy.ops.facescript.place_on_nla):
        with pytest.raises(RuntimeError, match="is on the NLA"):
            refused()
    assert bpy.ops.facescript.edit_take_again() == {"FINISHED"}
    assert names(performed) == ["Take 1"] and nla_tracks() == []
    bpy.context.scene.frame_set(1)
    assert everything(performed)[:3] == before[:3]


def test_a_take_that_waits_is_placed_at_the_current_frame(two: Any) -> None:
    obj, first, second = two
    obj.facescript_takes.active = 0
    bpy.context.scene.frame_set(201)
    assert bpy.ops.facescript.place_on_nla(here=True, blend_in=2.0, blend_type="COMBINE") == {"FINISHED"}
    assert keys() == second[1] and marks() == second[2]
    strips = [s for t in obj.data.shape_keys.animation_data.nla_tracks for s in t.strips if s.name == "Take 1"]
    assert [(s.frame_start, s.blend_in, s.blend_type) for s in strips] == [(201.0, 2.0, "ADD")]
    assert bpy.ops.facescript.edit_take_again() == {"FINISHED"}
    assert keys() == first[1] and names(obj) == ["Take 1", "Take 2"] and nla_tracks() == []
    bpy.ops.facescript.flip_take()
    assert keys() == second[1]


def test_what_cannot_be_placed_is_left_as_it_is(performed: Any) -> None:
    before = everything(performed), sorted(action.name for action in bpy.data.actions)
    with pytest.raises(RuntimeError, match="frames to blend in and out"):
        bpy.ops.facescript.place_on_nla(blend_in=900.0)
    assert (everything(performed), sorted(action.name for action in bpy.data.actions)) == before
    assert nla_tracks() == []
