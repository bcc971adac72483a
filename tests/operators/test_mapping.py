# SPDX-License-Identifier: GPL-3.0-or-later
"""The mapping editor through the installed zip: the table in the file, its operators, and keys that follow it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.rig_mapping import blender_api as api  # noqa: E402
from mathutils import Quaternion  # noqa: E402
from scenes import cube_with_keys, key_by_hand, state  # noqa: E402
from test_desk import four_beats, points, set_value  # noqa: E402

OPS = bpy.ops.facescript


@pytest.fixture
def face(extension: Any) -> Any:
    """The demo face, without a performance."""
    OPS.add_face()
    return bpy.context.view_layer.objects.active


def rows(obj: Any, channel: str) -> list[Any]:
    return [row for row in obj.facescript_mapping.rows if row.channel == channel]


def select(obj: Any, channel: str) -> Any:
    table = obj.facescript_mapping
    table.active = next(i for i, row in enumerate(table.rows) if row.channel == channel)
    return table.rows[table.active]


def brief(obj: Any) -> list[tuple[Any, ...]]:
    """The table, as plain values."""
    return [
        (r.channel, r.kind, r.object.name if r.object else "", r.name, r.index, round(r.gain, 3), round(r.offset, 3))
        for r in obj.facescript_mapping.rows
    ]


def test_the_automatic_mapping_becomes_a_table_and_goes_again(face: Any) -> None:
    assert len(face.facescript_mapping.rows) == 0
    assert OPS.edit_mapping() == {"FINISHED"}
    table = brief(face)
    assert ("jawOpen", "KEY", "ARKit Face", "jawOpen", 0, 1.0, 0.0) in table
    # The neck takes its share of 45 degrees.
    assert [row[2:6] for row in table if row[0] == "headYaw"] == [
        ("ARKit Face Rig", "neck", 0, 18.0),
        ("ARKit Face Rig", "head", 0, 27.0),
    ]
    assert [row[0] for row in table][:3] == ["eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft"]
    assert not any(row.by_hand or row.gone or row.empty for row in face.facescript_mapping.rows)
    assert OPS.automatic_mapping() == {"FINISHED"}
    assert len(face.facescript_mapping.rows) == 0


def test_a_gain_of_ones_own_is_what_is_keyed(extension: Any, tmp_path: Path) -> None:
    settings = four_beats(tmp_path)
    obj = settings.id_data
    assert points(settings, "jawOpen")[0] == (1.0, 0.2)
    OPS.edit_mapping()
    # The same rows in a table change nothing.
    before = state()
    row = select(obj, "jawOpen")
    row.gain = 0.5
    assert row.by_hand
    assert points(settings, "jawOpen")[0] == (1.0, 0.1)
    assert max(value for _, value in points(settings, "jawOpen")) == pytest.approx(0.3)
    OPS.automatic_mapping()
    assert state() == before


def test_a_table_with_the_automatic_rows_writes_nothing_anew(extension: Any, tmp_path: Path) -> None:
    settings = four_beats(tmp_path)
    key_by_hand(settings.id_data, "jawOpen", 12, 0.9)
    before = state()
    OPS.edit_mapping()
    assert state() == before


def test_a_channel_sent_elsewhere_leaves_its_old_key_without_keys(extension: Any, tmp_path: Path) -> None:
    settings = four_beats(tmp_path)
    OPS.edit_mapping()
    select(settings.id_data, "jawOpen").name = "mouthFunnel"
    assert points(settings, "jawOpen") == []
    assert points(settings, "mouthFunnel")[0] == (1.0, 0.2)


def test_poses_by_hand_are_understood_by_the_mapping_they_were_made_with(extension: Any, tmp_path: Path) -> None:
    settings = four_beats(tmp_path)
    OPS.edit_mapping()
    # The second beat, at frame 25, opens the jaw to 0.6.
    set_value(settings, "jawOpen", 25, 0.8)
    select(settings.id_data, "jawOpen").gain = 0.5
    assert dict(points(settings, "jawOpen"))[25.0] == pytest.approx(0.4)
    assert [beat.by_hand for beat in settings.beats] == [False, True, False, False]
    select(settings.id_data, "jawOpen").gain = 1.0
    assert dict(points(settings, "jawOpen"))[25.0] == pytest.approx(0.8)


def test_keys_of_what_was_not_mapped_are_no_part_of_a_pose_by_hand(extension: Any, tmp_path: Path) -> None:
    settings = four_beats(tmp_path)
    OPS.edit_mapping()
    select(settings.id_data, "mouthSmileLeft")
    OPS.remove_map_row()
    set_value(settings, "jawOpen", 25, 0.8)
    key_by_hand(settings.id_data, "mouthSmileLeft", 25, 0.45)
    OPS.fill_mapping()
    assert [beat.by_hand for beat in settings.beats] == [False, True, False, False]
    assert dict(points(settings, "jawOpen"))[25.0] == pytest.approx(0.8)
    assert dict(points(settings, "mouthSmileLeft"))[25.0] == pytest.approx(0.45)


def test_what_cannot_be_written_leaves_table_and_keys_as_they_were(extension: Any, tmp_path: Path) -> None:
    settings = four_beats(tmp_path)
    OPS.edit_mapping()
    keys = settings.id_data.data.shape_keys
    keys.animation_data.use_tweak_mode = False
    before, table = state(), brief(settings.id_data)
    # Every key is muted by a lock: nothing can be written.
    for group in (keys, bpy.data.objects["ARKit Face Rig"]):
        for curve in api.fcurves(api.find_place(group)):
            curve.lock = True
    select(settings.id_data, "jawOpen")
    with pytest.raises(RuntimeError, match="locked"):
        OPS.remove_map_row()
    for group in (keys, bpy.data.objects["ARKit Face Rig"]):
        for curve in api.fcurves(api.find_place(group)):
            curve.lock = False
    assert (state(), brief(settings.id_data)) == (before, table)


def test_rows_are_added_copied_and_removed(face: Any) -> None:
    OPS.edit_mapping()
    count = len(face.facescript_mapping.rows)
    select(face, "jawOpen")
    OPS.duplicate_map_row()
    assert [row.name for row in rows(face, "jawOpen")] == ["jawOpen", "jawOpen"]
    rows(face, "jawOpen")[1].name = "mouthFunnel"
    OPS.add_map_row()
    assert [row.empty for row in rows(face, "jawOpen")] == [False, False, True]
    assert face.facescript_mapping.row == rows(face, "jawOpen")[2]
    assert len(face.facescript_mapping.rows) == count + 2
    for _ in range(3):
        select(face, "jawOpen")
        OPS.remove_map_row()
    # The channel stays, to be given another target.
    assert [row.empty for row in rows(face, "jawOpen")] == [True]
    assert len(face.facescript_mapping.rows) == count


def test_a_target_is_chosen_from_the_characters_own(face: Any) -> None:
    OPS.edit_mapping()
    row = select(face, "jawOpen")
    assert OPS.pick_map_target(target="KEY\tARKit Face\tmouthFunnel\t0") == {"FINISHED"}
    assert (row.kind, row.name, row.by_hand) == ("KEY", "mouthFunnel", True)
    OPS.pick_map_target(target="TURN\tARKit Face Rig\tneck\t0")
    assert (row.kind, row.object.name, row.name, row.axis, row.gain) == (
        "TURN",
        "ARKit Face Rig",
        "neck",
        "PITCH",
        -25.0,
    )
    row = select(face, "eyeLookInLeft")
    OPS.pick_map_target(target="TURN\tARKit Face Rig\tneck\t0")
    # The left eye looks in, which is to the right.
    assert (row.axis, row.gain) == ("YAW", -35.0)
    with pytest.raises(TypeError):
        OPS.pick_map_target(target="KEY\tCamera\tnothing\t0")


def test_auto_fill_leaves_what_is_there(face: Any) -> None:
    OPS.edit_mapping()
    select(face, "jawOpen").name = "mouthFunnel"
    for channel in ("mouthSmileLeft", "mouthFunnel"):
        select(face, channel)
        OPS.remove_map_row()
    OPS.fill_mapping()
    assert [row.name for row in rows(face, "mouthSmileLeft")] == ["mouthSmileLeft"]
    assert [row.name for row in rows(face, "jawOpen")] == ["mouthFunnel"]
    # Its key is used for another channel by now.
    assert [row.empty for row in rows(face, "mouthFunnel")] == [True]


def test_one_side_is_made_from_the_other(face: Any) -> None:
    OPS.edit_mapping()
    select(face, "mouthSmileLeft").gain = 0.7
    select(face, "eyeBlinkLeft").name = "jawOpen"
    select(face, "eyeBlinkRight").gain = 0.9
    OPS.mirror_mapping(side="left")
    assert [(row.name, round(row.gain, 3)) for row in rows(face, "mouthSmileRight")] == [("mouthSmileRight", 0.7)]
    # jawOpen has no side, and so no twin.
    assert [(row.name, round(row.gain, 3)) for row in rows(face, "eyeBlinkRight")] == [("eyeBlinkRight", 0.9)]
    assert "eyeBlinkLeft" in extension_note()


def extension_note() -> str:
    import sys

    return str(sys.modules["bl_ext.user_default.facescript.operators.session"].session().note)


def test_what_stands_is_a_full_channel(face: Any) -> None:
    OPS.edit_mapping()
    row = select(face, "mouthSmileLeft")
    with pytest.raises(RuntimeError, match="Nothing that shows mouthSmileLeft is posed"):
        OPS.full_by_example()
    keys = face.data.shape_keys.key_blocks
    keys["mouthSmileLeft"].value, keys["mouthDimpleLeft"].value = 0.75, 0.4
    OPS.full_by_example()
    assert row.gain == pytest.approx(0.75)
    assert [r.name for r in rows(face, "mouthSmileLeft")] == ["mouthSmileLeft"]
    select(face, "mouthDimpleLeft")
    OPS.remove_map_row()
    select(face, "mouthSmileLeft")
    OPS.full_by_example(more=True)
    found = {r.name: round(r.gain, 3) for r in rows(face, "mouthSmileLeft")}
    assert found == {"mouthSmileLeft": 0.75, "mouthDimpleLeft": 0.4}


def test_what_stands_is_rest(face: Any) -> None:
    OPS.edit_mapping()
    face.data.shape_keys.key_blocks["browInnerUp"].value = 0.2
    OPS.rest_by_example()
    assert select(face, "browInnerUp").offset == pytest.approx(0.2)
    face.data.shape_keys.key_blocks["browInnerUp"].value = 0.9
    OPS.full_by_example()
    assert select(face, "browInnerUp").gain == pytest.approx(0.7)


def test_the_table_is_in_the_file_with_all_that_was_edited(face: Any, tmp_path: Path) -> None:
    OPS.edit_mapping()
    row = select(face, "jawOpen")
    row.gain, row.offset, row.limited, row.low, row.high = 0.5, 0.1, True, 0.0, 0.8
    select(face, "headYaw").gain = 30.0
    table = brief(face)
    path = str(tmp_path / "character.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert brief(bpy.data.objects["ARKit Face"]) == table
    bpy.ops.wm.read_homefile(use_empty=True)
    # Another object has the name already.
    other = cube_with_keys(["jawOpen"], "ARKit Face")
    with bpy.data.libraries.load(path) as (_, into):
        into.objects = ["ARKit Face", "ARKit Face Rig"]
    for obj in into.objects:
        bpy.context.scene.collection.objects.link(obj)
    appended = into.objects[0]
    assert appended.name == "ARKit Face.001" and other.name == "ARKit Face"
    row = select(appended, "jawOpen")
    assert (row.object, row.gain, row.limited, round(row.high, 3)) == (appended, 0.5, True, 0.8)
    assert select(appended, "headYaw").object == into.objects[1]


def test_a_renamed_object_keeps_its_rows(face: Any) -> None:
    OPS.edit_mapping()
    face.name = "Anna"
    assert not select(face, "jawOpen").gone
    face.data.shape_keys.key_blocks["jawOpen"].name = "Jaw Down"
    assert select(face, "jawOpen").gone


@pytest.mark.parametrize("by_operator", [True, False])
def test_a_copied_characters_rows_are_on_its_own_objects(face: Any, by_operator: bool) -> None:
    OPS.edit_mapping()
    rig = face.parent
    select(face, "jawOpen").gain = 0.5
    if by_operator:
        for obj in (face, rig):
            obj.select_set(True)
        bpy.ops.object.duplicate()
        copy = next(o for o in bpy.data.objects if o.name == "ARKit Face.001")
    else:
        copy, rig_copy = face.copy(), rig.copy()
        copy.data = face.data.copy()
        for obj in (copy, rig_copy):
            bpy.context.scene.collection.objects.link(obj)
        copy.parent = rig_copy
        copy.modifiers[0].object = rig_copy
    bpy.context.view_layer.objects.active = copy
    # Any edit looks for the character.
    OPS.fill_mapping()
    assert {row.object for row in copy.facescript_mapping.rows} == {copy, copy.parent}
    assert copy.parent != rig
    assert {row.object for row in face.facescript_mapping.rows} == {face, rig}
    assert select(copy, "jawOpen").gain == 0.5


def test_every_edit_is_one_undo(face: Any) -> None:
    bpy.context.preferences.edit.use_global_undo = True
    bpy.ops.ed.undo_push(message="Begin")
    OPS.edit_mapping()
    bpy.ops.ed.undo_push(message="Edit Mapping")
    select(face, "jawOpen")
    OPS.remove_map_row()
    bpy.ops.ed.undo_push(message="Remove")
    bpy.ops.ed.undo()
    face = bpy.data.objects["ARKit Face"]
    assert [row.name for row in rows(face, "jawOpen")] == ["jawOpen"]
    bpy.ops.ed.undo()
    assert len(bpy.data.objects["ARKit Face"].facescript_mapping.rows) == 0


def test_a_face_of_which_no_name_is_known_is_mapped_by_hand(extension: Any, tmp_path: Path) -> None:
    obj = cube_with_keys(["Mund", "Lid 1", "Lid 2"], "Kopf")
    bpy.context.view_layer.objects.active = obj
    assert OPS.edit_mapping() == {"FINISHED"}
    assert len(obj.facescript_mapping.rows) == 55 and all(row.empty for row in obj.facescript_mapping.rows)
    for channel, name in (("jawOpen", "Mund"), ("eyeBlinkLeft", "Lid 1"), ("eyeBlinkRight", "Lid 2")):
        select(obj, channel)
        OPS.pick_map_target(target=f"KEY\tKopf\t{name}\t0")
    path = tmp_path / "performance.jsonl"
    rows = [{"t": 0.0, "text": "a", "pose": {}}, {"t": 1.0, "text": "b", "pose": {"jawOpen": 0.5, "eyeBlink": 1.0}}]
    path.write_text(json.dumps({"script": "Hi.", "keyframes": rows}))
    assert OPS.import_performance(filepath=str(path)) == {"FINISHED"}
    assert max(value for _, value in points(obj.facescript, "Mund")) == 0.5
    assert max(value for _, value in points(obj.facescript, "Lid 2")) == 1.0
    # Everything unmapped again, the face is none, and its table is still there to be mapped.
    for channel in ("jawOpen", "eyeBlinkLeft"):
        select(obj, channel)
        OPS.remove_map_row()
    assert points(obj.facescript, "Mund") == []


def test_settings_stay_with_the_table_whichever_object_its_rows_begin_with(extension: Any) -> None:
    lids = cube_with_keys(["Zu"], "Lider")
    obj = cube_with_keys(["Mund"], "Kopf")
    lids.parent = obj
    bpy.context.view_layer.objects.active = obj
    OPS.edit_mapping()
    select(obj, "eyeBlinkLeft")
    row = obj.facescript_mapping.row
    row.kind, row.object, row.name = "KEY", lids, "Zu"
    select(obj, "jawOpen")
    OPS.pick_map_target(target="KEY\tKopf\tMund\t0")
    faces = extension.module("operators.faces")
    target, settings = faces.active_face(bpy.context)
    assert settings == obj.facescript and target.covered == ("eyeBlinkLeft", "jawOpen")
    bpy.context.view_layer.objects.active = lids
    assert faces.find(obj).owner.name == "Kopf"


def test_a_number_that_nothing_shows_any_more_loses_its_keys(extension: Any, tmp_path: Path) -> None:
    settings = four_beats(tmp_path)
    rig = bpy.data.objects["ARKit Face Rig"]
    rig["open"] = 0.0
    OPS.edit_mapping()
    select(settings.id_data, "jawOpen")
    OPS.pick_map_target(target='PROPERTY\tARKit Face Rig\t["open"]\t0')

    def keyed() -> list[str]:
        return [curve.data_path for curve in api.fcurves(api.find_place(rig))]

    assert '["open"]' in keyed() and points(settings, "jawOpen") == []
    for channel in ("headYaw", "headYaw", "headPitch", "headPitch", "headRoll", "headRoll"):
        select(settings.id_data, channel)
        OPS.remove_map_row()
    assert keyed() == ['["open"]']
    select(settings.id_data, "jawOpen").name = '["gone"]'
    # The row is there, its number is not.
    assert rows(settings.id_data, "jawOpen")[0].gone
    assert rig.animation_data is None or rig.animation_data.action is None


def test_a_bone_that_is_posed_by_hand_says_its_full_angle(face: Any) -> None:
    OPS.edit_mapping()
    rig = face.parent
    head = rig.pose.bones["head"]
    head.rotation_mode = "QUATERNION"
    # About its own Y, which is up: 30 degrees to the character's left.
    head.rotation_quaternion = Quaternion((0.0, 1.0, 0.0), math.radians(30.0))
    table = face.facescript_mapping
    table.active = next(i for i, r in enumerate(table.rows) if (r.channel, r.name) == ("headYaw", "head"))
    OPS.full_by_example()
    found = {row.name: round(row.gain, 3) for row in rows(face, "headYaw")}
    # The neck was not posed, and keeps its share.
    assert found == {"neck": 18.0, "head": 30.0}


def test_rows_of_one_number_have_one_offset_and_the_same_limits(face: Any) -> None:
    OPS.edit_mapping()
    select(face, "jawOpen").name = "mouthFunnel"
    row = select(face, "mouthFunnel")
    row.offset, row.limited, row.high = 0.2, True, 0.7
    other = rows(face, "jawOpen")[0]
    assert (round(other.offset, 3), other.limited, round(other.high, 3)) == (0.2, True, 0.7)


def test_a_take_that_waited_has_its_keys_written_through_the_mapping_of_now(extension: Any, tmp_path: Path) -> None:
    settings = four_beats(tmp_path)
    obj = settings.id_data
    OPS.duplicate_take()
    OPS.edit_mapping()
    select(obj, "jawOpen").gain = 0.5
    assert points(settings, "jawOpen")[0] == (1.0, 0.1)
    OPS.flip_take()
    # Anything that is done with it next finds that its keys were written through another mapping.
    OPS.lock_beats(lock=True)
    assert points(settings, "jawOpen")[0] == (1.0, 0.1)
    assert [beat.by_hand for beat in settings.beats] == [False] * 4


def test_a_face_of_bones_alone_is_mapped_by_hand(extension: Any, tmp_path: Path) -> None:
    bpy.ops.object.armature_add()
    rig = bpy.context.view_layer.objects.active
    rig.name = "Puppet"
    rig.pose.bones[0].name = "Kiefer"
    OPS.edit_mapping()
    select(rig, "jawOpen")
    OPS.pick_map_target(target="TURN\tPuppet\tKiefer\t0")
    assert (rig.facescript_mapping.row.axis, rig.facescript_mapping.row.gain) == ("PITCH", -25.0)
    rig.facescript_mapping.row.gain = -20.0
    path = tmp_path / "performance.jsonl"
    rows = [{"t": 0.0, "text": "a", "pose": {}}, {"t": 1.0, "text": "b", "pose": {"jawOpen": 1.0}}]
    path.write_text(json.dumps({"script": "Ah.", "keyframes": rows}))
    assert OPS.import_performance(filepath=str(path)) == {"FINISHED"}
    bpy.context.scene.frame_set(rig.facescript.beats[1].frame)
    turned = rig.pose.bones["Kiefer"].matrix_basis.to_quaternion().angle
    assert math.degrees(turned) == pytest.approx(20.0, abs=0.01)
    # A marker that was dragged: what is saved agrees with it.
    marker = next(m for m in bpy.context.scene.timeline_markers if m.name == rig.facescript.beats[1].marker)
    marker.frame += 5
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "puppet.blend"))
    assert rig.facescript.beats[1].frame == marker.frame


def test_an_override_of_a_linked_character_is_mapped_for_the_session(face: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "character.blend")
    made = bpy.data.collections.new("Anna")
    bpy.context.scene.collection.children.link(made)
    for obj in (face, face.parent):
        made.objects.link(obj)
        bpy.context.scene.collection.objects.unlink(obj)
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (_, into):
        into.collections = ["Anna"]
    linked = into.collections[0]
    linked.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer, do_fully_editable=True)
    obj = next(o for o in bpy.data.objects if o.type == "MESH" and o.library is None)
    obj.data = obj.data.override_create()
    bpy.context.view_layer.objects.active = obj
    OPS.edit_mapping()
    select(obj, "jawOpen").gain = 0.5
    assert {row.object for row in obj.facescript_mapping.rows} == {obj, obj.parent}
    performance = tmp_path / "performance.jsonl"
    rows = [{"t": 0.0, "text": "a", "pose": {}}, {"t": 1.0, "text": "b", "pose": {"jawOpen": 1.0}}]
    performance.write_text(json.dumps({"script": "Ah.", "keyframes": rows}))
    assert OPS.import_performance(filepath=str(performance)) == {"FINISHED"}
    assert max(value for _, value in points(obj.facescript, "jawOpen")) == 0.5


def test_two_characters_have_mappings_of_their_own(face: Any) -> None:
    OPS.edit_mapping()
    select(face, "jawOpen").gain = 0.5
    OPS.add_face()
    other = bpy.context.view_layer.objects.active
    other.parent.location.x = 1.0
    assert len(other.facescript_mapping.rows) == 0
    OPS.edit_mapping()
    assert select(other, "jawOpen").gain == 1.0
    OPS.automatic_mapping()
    assert select(face, "jawOpen").gain == 0.5


def test_meshes_of_one_character_have_rows_of_their_own(extension: Any) -> None:
    lashes = cube_with_keys(["eyeBlinkLeft"], "Lashes")
    head = cube_with_keys(["eyeBlinkLeft", "jawOpen"], "Head")
    lashes.parent = head
    bpy.context.view_layer.objects.active = head
    OPS.edit_mapping()
    assert [row.object.name for row in rows(head, "eyeBlinkLeft")] == ["Head", "Lashes"]
    panel = extension.module("panels.mapping")
    table = head.facescript_mapping
    # Where channel and key have one name, the object tells the rows apart; a row alone needs nothing more.
    assert [panel._title(table, row, i) for i, row in enumerate(table.rows) if not row.empty] == ["Head", "Lashes", ""]
    head.data.shape_keys.key_blocks["eyeBlinkLeft"].value = 0.8
    lashes.data.shape_keys.key_blocks["eyeBlinkLeft"].value = 0.0
    select(head, "eyeBlinkLeft")
    OPS.full_by_example()
    assert [round(row.gain, 3) for row in rows(head, "eyeBlinkLeft")] == [0.8, 1.0]
    assert "left as it was: eyeBlinkLeft (Lashes)." in extension_note()


def test_rows_are_found_by_what_is_typed_and_by_what_is_wrong(face: Any, extension: Any) -> None:
    OPS.edit_mapping()
    panel, view = extension.module("panels.mapping"), bpy.context.window_manager.facescript_view
    select(face, "cheekPuff")
    OPS.remove_map_row()
    face.data.shape_keys.key_blocks["tongueOut"].name = "Zunge"
    select(face, "jawLeft").confidence = 0.6
    rows(face, "jawLeft")[0].by_hand = False

    def listed() -> list[str]:
        return [row.channel for row in face.facescript_mapping.rows if panel._wanted(row, view)]

    assert len(listed()) == 58
    view.search = "smile LEFT"
    assert listed() == ["mouthSmileLeft"]
    view.search = "neck"
    assert listed() == ["headYaw", "headPitch", "headRoll"]
    view.search, view.show = "", "MISSING"
    assert listed() == ["cheekPuff"]
    view.show = "UNSURE"
    assert listed() == ["jawLeft", "tongueOut"]
    view.show = "ALL"


def test_a_mapping_that_is_changed_while_the_list_is_followed_is_written(extension: Any, tmp_path: Path) -> None:
    settings = four_beats(tmp_path)
    OPS.edit_mapping()
    faces, desks = extension.module("operators.faces"), extension.module("operators.desk")
    at = desks.Desk.of(faces.active_face(bpy.context)[0], settings, bpy.context.scene)
    # What a timer has begun, with the face as it was mapped then.
    slices = extension.module("rig_mapping.steps").Slices
    extension.session.following = slices(desks.follow_steps(at), lambda: None)
    select(settings.id_data, "jawOpen").gain = 0.5
    assert points(settings, "jawOpen")[0] == (1.0, 0.1)
