# SPDX-License-Identifier: GPL-3.0-or-later
"""Mappings as profile files: saved, used on another character, listed, and refused by file and place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from test_mapping import brief, rows, select  # noqa: E402

OPS = bpy.ops.facescript


@pytest.fixture
def face(extension: Any) -> Any:
    """The demo face with its mapping in a table."""
    OPS.add_face()
    OPS.edit_mapping()
    return bpy.context.view_layer.objects.active


def test_a_saved_mapping_comes_back_on_another_character(face: Any, tmp_path: Path) -> None:
    select(face, "jawOpen").gain = 0.5
    select(face, "mouthSmileLeft").name = "mouthDimpleLeft"
    select(face, "mouthDimpleLeft")
    OPS.remove_map_row()
    row = select(face, "cheekPuff")
    row.offset, row.limited, row.high = 0.1, True, 0.6
    select(face, "headYaw").gain = 30.0
    path = tmp_path / "anna.json"
    assert OPS.save_profile(filepath=str(path), name="Anna") == {"FINISHED"}
    saved = json.loads(path.read_text())
    assert (saved["id"], saved["name"], saved["exact"]) == ("anna", "Anna", True)
    assert saved["channels"]["jawOpen"] == [{"shape": "jawOpen", "gain": 0.5}]
    assert saved["channels"]["mouthSmileLeft"] == [{"shape": "mouthDimpleLeft", "gain": 1.0}]
    assert "cheekPuff" not in saved["channels"] and "mouthDimpleLeft" not in saved["channels"]
    assert {
        "channel": "cheekPuff", "kind": "KEY", "role": "mesh", "object": "ARKit Face", "name": "cheekPuff",
        "index": 0, "gain": 1.0, "offset": 0.1, "low": 0.0, "high": 0.6,
    } in saved["rows"]  # fmt: skip
    turns = [(r["role"], r["name"], r["gain"]) for r in saved["rows"] if r["channel"] == "headYaw"]
    assert turns == [("armature", "neck", 30.0), ("armature", "head", 27.0)]
    table = brief(face)
    OPS.add_face()
    other = bpy.context.view_layer.objects.active
    assert OPS.load_profile(filepath=str(path)) == {"FINISHED"}
    assert [(*r[:2], *r[3:]) for r in brief(other)] == [(*r[:2], *r[3:]) for r in table]
    assert {r.object for r in other.facescript_mapping.rows if r.object} == {other, other.parent}
    assert rows(other, "cheekPuff")[0].limited and [r.empty for r in rows(other, "mouthDimpleLeft")] == [True]


def test_a_profile_of_the_extension_is_used(face: Any) -> None:
    select(face, "jawOpen").gain = 0.5
    assert OPS.use_profile(profile="arkit") == {"FINISHED"}
    assert rows(face, "jawOpen")[0].gain == 1.0


def test_the_users_own_profiles_are_listed(face: Any, extension: Any) -> None:
    module = extension.module("operators.profile_files")
    assert module.user_files() == []
    path = module.user_folder() / "mine.json"
    OPS.save_profile(filepath=str(path))
    try:
        assert module.user_files() == [path]
        select(face, "jawOpen").gain = 0.5
        OPS.use_profile(filepath=str(path))
        assert rows(face, "jawOpen")[0].gain == 1.0
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "bad.json: This is not JSON"),
        ("[]", "Expected a JSON object, found list"),
        ('{"id": "a", "name": "A", "source": "s"}', "bad.json has no field 'channels'"),
        ('{"id": "a", "name": "A", "source": "s", "channels": {"jaw": []}}', "unknown channel 'jaw'"),
        (
            '{"id": "a", "name": "A", "source": "s", "channels": {"jawOpen": [{"shape": "jawOpen", "gain": 1}]},'
            ' "rows": [{"channel": "jawOpen"}]}',
            r"bad.json: rows\[0\] has no field 'kind'",
        ),
        (
            '{"id": "a", "name": "A", "source": "s", "channels": {"jawOpen": [{"shape": "jawOpen", "gain": 1}]},'
            ' "rows": [{"channel": "jawOpen", "kind": "BEND", "role": "mesh", "object": "", "name": "", "index": 0,'
            ' "gain": 1, "offset": 0}]}',
            r"bad.json: rows\[0\] has an unknown kind 'BEND'",
        ),
    ],
)
def test_a_wrong_file_is_told_by_its_place_and_changes_nothing(
    face: Any, tmp_path: Path, text: str, message: str
) -> None:
    table = brief(face)
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(RuntimeError, match=message):
        OPS.load_profile(filepath=str(path))
    assert brief(face) == table


def test_a_profile_that_names_nothing_of_the_face_is_refused(face: Any, tmp_path: Path) -> None:
    table = brief(face)
    path = tmp_path / "other.json"
    made = {"id": "o", "name": "Other", "source": "s", "exact": True}
    path.write_text(json.dumps({**made, "channels": {"jawOpen": [{"shape": "Kiefer", "gain": 1.0}]}}))
    with pytest.raises(RuntimeError, match="Nothing of 'Other' is on this face"):
        OPS.load_profile(filepath=str(path))
    assert brief(face) == table


def test_a_file_that_cannot_be_written_says_so(face: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Cannot write"):
        OPS.save_profile(filepath=str(tmp_path / "none" / "a.json"))


def test_keys_that_a_control_rig_drives_are_used_by_their_controls(face: Any) -> None:
    rig = face.parent
    rig["smile"] = 0.0
    curve = face.data.shape_keys.key_blocks["mouthSmileLeft"].driver_add("value")
    curve.driver.type = "AVERAGE"
    variable = curve.driver.variables.new()
    variable.targets[0].id, variable.targets[0].data_path = rig, '["smile"]'
    OPS.use_profile(profile="arkit")
    found = [(r.kind, r.object.name, r.name, r.gain) for r in rows(face, "mouthSmileLeft")]
    assert found == [("PROPERTY", "ARKit Face Rig", '["smile"]', 1.0)]


def test_a_mapping_without_shape_keys_is_a_profile_too(face: Any, tmp_path: Path) -> None:
    for channel in list(dict.fromkeys(row.channel for row in face.facescript_mapping.rows)):
        if not channel.startswith("head"):
            select(face, channel)
            OPS.remove_map_row()
    path = tmp_path / "bones.json"
    OPS.save_profile(filepath=str(path))
    OPS.automatic_mapping()
    OPS.load_profile(filepath=str(path))
    found = [(row.channel, row.name) for row in face.facescript_mapping.rows if not row.empty]
    assert found[:2] == [("headYaw", "neck"), ("headYaw", "head")] and len(found) == 6
