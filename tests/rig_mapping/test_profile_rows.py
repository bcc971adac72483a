# SPDX-License-Identifier: GPL-3.0-or-later
"""Mappings as profile files and back, on the character that they came from and on others; and what is wrong in one."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import face_rigs as rigs
import pytest
from amounts import examples
from facescript.performance import BLEND_SHAPES, CHANNELS, FacescriptError
from facescript.rig_mapping import profiles
from facescript.rig_mapping.mapping import Mapping, MapRow
from facescript.rig_mapping.profile_rows import on_character, slug, to_profile
from facescript.rig_mapping.references import ObjectRef
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mathutils import Vector

KEYS = ("A", "mouth L", "笑い", 'a "quoted" one', "B.001")
BONE = "jaw"


def character() -> list[Any]:
    """A face with keys of its own, lashes with two of them, and an armature with a property."""
    face, lashes = rigs.face("Face", {f"jawOpen {i}": name for i, name in enumerate(KEYS)}), rigs.face("Lashes", {})
    for name in KEYS[:2]:
        lashes.shape_key_add(name=name, from_mix=False)
    rig = rigs.armature({BONE: (Vector((0, 0, 0)), Vector((0, 0, 0.1)), 0.0)})
    rig["slider"] = 0.0
    return [face, lashes, rig]


def rows() -> st.SearchStrategy[MapRow]:
    number = st.floats(-50.0, 50.0, width=32)
    places = [("KEY", "Face", name, 0) for name in KEYS] + [("KEY", "Lashes", name, 0) for name in KEYS[:2]]
    places += [("PROPERTY", "Rig", '["slider"]', 0), ("PROPERTY", "Rig", f'pose.bones["{BONE}"].location', 2)]
    places += [("TURN", "Rig", BONE, axis) for axis in range(3)] + [("TURN", "Rig", "", 0)]

    def made(channel: str, place: tuple[str, str, str, int], gain: float, more: tuple[float, float, float]) -> MapRow:
        kind, obj, name, index = place
        offset, low, high = more
        return MapRow(channel, kind, ObjectRef(obj), name, index, gain, offset, low, high)  # type: ignore[arg-type]

    ends = st.sampled_from([(0.0, -math.inf, math.inf), (0.0, -math.inf, 1.0), (0.5, -2.0, 2.0)])
    channels = st.sampled_from([channel.name for channel in CHANNELS])
    return st.builds(made, channels, st.sampled_from(places), number, ends)


def written(mapping: Mapping, folder: Path) -> profiles.Profile:
    path = folder / "own.json"
    path.write_text(json.dumps(to_profile(mapping, "Own", "a test")), encoding="utf-8")
    return profiles.load(path)


@given(st.lists(rows(), min_size=1, max_size=12, unique_by=lambda r: (r.channel, r.kind, r.object, r.name, r.index)))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mapping_comes_back_as_it_was(chosen: list[MapRow]) -> None:
    members = list(bpy.data.objects) or character()
    members.sort(key=lambda obj: obj.name)
    with tempfile.TemporaryDirectory() as folder:
        found, lost = on_character(written(Mapping("own", tuple(chosen)), Path(folder)), members, members, "own.json")
    plain = {replace(row, confidence=1.0, by_hand=False) for row in found.rows}
    # A key's row without more is for every mesh that has the key.
    everywhere = {
        replace(row, object=ObjectRef(name))
        for row in chosen
        if row.kind == "KEY" and row.offset == 0.0 and row.high == math.inf and row.channel in BLEND_SHAPES
        for name in ("Face", "Lashes")
    }
    assert lost == ()
    assert set(chosen) <= plain <= set(chosen) | everywhere


def test_rows_go_to_the_object_of_their_name_else_to_one_that_has_what_they_name(tmp_path: Path) -> None:
    members = character()
    mapping = Mapping(
        "own",
        (
            MapRow("jawOpen", "KEY", ObjectRef("Lashes"), "A", gain=0.5, offset=0.1),
            MapRow("headYaw", "TURN", ObjectRef("Rig"), BONE, 0, 45.0),
            MapRow("mouthLeft", "PROPERTY", ObjectRef("Rig"), '["slider"]'),
        ),
    )
    profile = written(mapping, tmp_path)
    assert {row.object.name for row in on_character(profile, members, members, "")[0].rows} == {"Lashes", "Rig"}
    for obj, name in zip(members, ("Kopf", "Lider", "Skelett"), strict=True):
        obj.name = name
    del members[2]["slider"]
    found, lost = on_character(profile, members, members, "")
    assert [(row.channel, row.object.name) for row in found.rows] == [
        ("jawOpen", "Kopf"),
        ("jawOpen", "Lider"),
        ("headYaw", "Skelett"),
    ]
    assert lost == ("mouthLeft",)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
RIGHT: dict[str, Any] = {
    "channel": "jawOpen",
    "kind": "KEY",
    "role": "mesh",
    "object": "Face",
    "name": "A",
    "index": 0,
    "gain": 1.0,
    "offset": 0.0,
}


@given(st.sampled_from([*RIGHT, "low", "other"]), VALUES)
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_row_is_read_or_told_by_its_place(field: str, value: Any) -> None:
    members = list(bpy.data.objects) or character()
    profile = replace(profiles.get(), rows=({**RIGHT, field: value},), channels={})
    try:
        found, _ = on_character(profile, members, members, "own.json")
    except FacescriptError as error:
        assert error.code == "no_match" or error.message.startswith("own.json: rows[0] ")
    else:
        assert all(math.isfinite(row.gain + row.offset) and row.high == math.inf for row in found.rows)


def test_a_row_that_is_no_object_is_told_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    base = {"id": "own", "name": "Own", "source": "s", "channels": {"jawOpen": [{"shape": "A", "gain": 1.0}]}}
    path.write_text(json.dumps({**base, "rows": [3]}))
    with pytest.raises(FacescriptError, match=r"own.json: rows\[0\] is not an object"):
        profiles.load(path)


@pytest.mark.parametrize(
    ("name", "made"), [("Anna's Face 2", "anna_s_face_2"), ("笑い", "笑い"), ("  ", "profile"), ("../x", "x")]
)
def test_a_name_becomes_a_file_name(name: str, made: str) -> None:
    assert slug(name) == made
