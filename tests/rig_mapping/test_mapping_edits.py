# SPDX-License-Identifier: GPL-3.0-or-later
"""Sides in names, one side of a mapping from the other, and what is missing filled in."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from facescript.performance import BLEND_SHAPES, CHANNELS
from facescript.rig_mapping import mapping_edits
from facescript.rig_mapping.mapping import Mapping, MapRow
from facescript.rig_mapping.references import ObjectRef
from hypothesis import given
from hypothesis import strategies as st

FACE, RIG = ObjectRef("Face"), ObjectRef("Rig")
LEFT = [channel.name for channel in CHANNELS if channel.side == "left" and not channel.is_angle]


def key(channel: str, name: str, gain: float = 1.0) -> MapRow:
    return MapRow(channel, "KEY", FACE, name, gain=gain)


def location(channel: str, bone: str, index: int, gain: float, **more: float) -> MapRow:
    return MapRow(channel, "PROPERTY", RIG, f'pose.bones["{bone}"].location', index, gain, **more)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mouthSmileLeft", "mouthSmileRight"),
        ("MOUTH_SMILE_RIGHT", "MOUTH_SMILE_LEFT"),
        ("mouthSmile_L", "mouthSmile_R"),
        ("mouth smile l", "mouth smile r"),
        ("L_mouthSmile", "R_mouthSmile"),
        ("mouth_L_smile", "mouth_R_smile"),
        ("browDownL", "browDownR"),
        ("DEF-eye.L.001", "DEF-eye.R.001"),
        ("笑い左", "笑い右"),
        ('pose.bones["c_lips.L"].location', 'pose.bones["c_lips.R"].location'),
    ],
)
def test_a_name_has_another_side(name: str, other: str) -> None:
    assert mapping_edits.other_side(name)[0] == other
    assert mapping_edits.other_side(other)[0] == name


@pytest.mark.parametrize("name", ["jawOpen", "mouthRoll", "Lips", "alert", "", "あ"])
def test_a_name_without_a_side_has_none(name: str) -> None:
    assert mapping_edits.other_side(name) == ()


def test_each_of_several_sides_may_be_the_one_that_is_meant() -> None:
    assert mapping_edits.other_side("Left_mouthLeft") == ("Right_mouthRight", "Right_mouthLeft", "Left_mouthRight")


@given(st.text(max_size=30))
def test_any_text_survives(name: str) -> None:
    for other in mapping_edits.other_side(name):
        assert other != name and name in mapping_edits.other_side(other)


def test_rows_of_the_other_side_are_made_where_their_targets_are() -> None:
    there = {"mouthSmileRight", "eyeBlinkRight"}
    mapping = Mapping(
        "own",
        (
            key("eyeBlinkLeft", "eyeBlinkLeft", 0.8),
            key("eyeBlinkRight", "Zwinkern", 0.1),
            key("browDownLeft", "browDownLeft"),
            key("mouthSmileLeft", "mouthSmileLeft", 0.7),
            key("jawOpen", "jawOpen"),
        ),
    )
    made, failed = mapping_edits.mirrored(mapping, "left", lambda row: row.name in there)
    assert [row.channel for row in failed] == ["browDownLeft"]
    found = {row.channel: (row.name, row.gain, row.by_hand) for row in made.rows}
    assert found["eyeBlinkRight"] == ("eyeBlinkRight", 0.8, True)
    assert found["mouthSmileRight"] == ("mouthSmileRight", 0.7, True)
    assert "browDownRight" not in found and found["jawOpen"] == ("jawOpen", 1.0, False)


def test_controls_of_the_other_side_go_the_other_way_across_and_the_same_way_up() -> None:
    rows = (
        location("mouthStretchLeft", "lips.L", 0, 0.04, offset=0.01, low=-0.02, high=0.04),
        location("mouthSmileLeft", "lips.L", 1, 0.04, low=-0.02, high=0.04),
    )
    made, failed = mapping_edits.mirrored(Mapping("own", rows), "left", lambda row: "lips.R" in row.name)
    assert not failed
    found = {row.channel: (row.index, row.gain, row.offset, row.low, row.high) for row in made.rows}
    assert found["mouthStretchRight"] == (0, -0.04, -0.01, -0.04, 0.02)
    assert found["mouthSmileRight"] == (1, 0.04, 0.0, -0.02, 0.04)


def test_a_control_in_the_middle_shows_the_other_direction_the_other_way() -> None:
    rows = (location("jawLeft", "jaw", 0, 0.02), key("mouthLeft", "mouthAside"))
    made, failed = mapping_edits.mirrored(Mapping("own", rows), "left", lambda row: True)
    assert [(row.channel, row.gain) for row in made.rows if row.channel == "jawRight"] == [("jawRight", -0.02)]
    assert [row.channel for row in failed] == ["mouthLeft"]


def test_an_eye_of_its_own_has_its_twin_by_its_objects_name() -> None:
    row = MapRow("eyeLookUpLeft", "KEY", ObjectRef("Eye.L"), "up")
    made, _ = mapping_edits.mirrored(Mapping("own", (row,)), "left", lambda r: r.object.name == "Eye.R")
    assert [(r.channel, r.object.name, r.name) for r in made.rows][1:] == [("eyeLookUpRight", "Eye.R", "up")]


@given(st.lists(st.sampled_from(LEFT), unique=True), st.floats(0.1, 2.0))
def test_mirroring_there_and_back_changes_nothing(channels: list[str], gain: float) -> None:
    mapping = Mapping("own", mapping_edits.ordered(key(channel, channel, gain) for channel in channels))
    right, failed = mapping_edits.mirrored(mapping, "left", lambda row: row.name in BLEND_SHAPES)
    again, _ = mapping_edits.mirrored(right, "right", lambda row: row.name in BLEND_SHAPES)
    assert not failed
    plain = {replace(row, by_hand=False) for row in again.rows}
    assert plain == {replace(row, by_hand=False) for row in right.rows} and len(right.rows) == 2 * len(channels)


def test_what_is_missing_is_filled_in_by_what_is_free() -> None:
    mine = Mapping("own", (key("jawOpen", "Open", 0.5),))
    found = Mapping("arkit", (key("jawOpen", "jawOpen"), key("cheekPuff", "Open"), key("tongueOut", "Tongue")))
    filled = mapping_edits.filled(mine, found)
    assert filled == Mapping("own", (key("jawOpen", "Open", 0.5), key("tongueOut", "Tongue")))


def test_limits_that_are_none_stay_none() -> None:
    row = location("mouthStretchLeft", "lips.L", 0, 1.0)
    made, _ = mapping_edits.mirrored(Mapping("own", (row,)), "left", lambda r: True)
    assert (made.rows[1].low, made.rows[1].high) == (-math.inf, math.inf)
