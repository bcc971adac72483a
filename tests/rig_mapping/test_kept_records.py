# SPDX-License-Identifier: GPL-3.0-or-later
"""Records that are kept as text in a .blend: whatever the text is, they are in range or count as none."""

from __future__ import annotations

import base64
import json
import math
from types import SimpleNamespace
from typing import Any

import face_rigs as rigs
import numpy as np
import pytest
from facescript.rig_mapping import captures, life_records, records, takes, timeline
from facescript.rig_mapping.blender_api import find_place
from facescript.rig_mapping.keys import Record
from facescript.rig_mapping.targets import find_target
from hypothesis import given
from hypothesis import strategies as st
from made_performances import performance

numbers = st.integers() | st.floats() | st.sampled_from([math.nan, math.inf, 1e300, 2**31, -1])
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
packed = st.binary(max_size=24).map(lambda data: base64.b64encode(data).decode()) | anything
row = st.fixed_dictionaries({"f": packed, "v": packed, "m": anything, "b": anything})
curve = st.tuples(st.text(max_size=5), st.integers(0, 3) | anything, row | anything) | anything
slot = st.fixed_dictionaries({"action": st.text(max_size=5), "slot": st.booleans(), "curves": st.lists(curve)})
kept = st.fixed_dictionaries({"version": st.just(2) | anything, "slots": st.fixed_dictionaries({"a": slot | anything})})


def place(value: Any) -> Any:
    """A place whose action keeps `value`."""
    return SimpleNamespace(action={records.PROPERTY: value}, key="a")


@given(kept.map(json.dumps) | anything)
def test_a_record_of_keys_is_finite_and_rises_or_there_is_none(value: Any) -> None:
    for record in records.load(place(value)).curves.values():
        assert math.isfinite(record.before)
        assert np.isfinite(record.values).all()
        assert (np.diff(record.frames) > 0).all()


def test_a_record_reads_back_as_it_was_kept() -> None:
    made = Record(np.array([1, 5]), np.array([0.5, 0.25]), True, 0.125)
    where = place("{}")
    records.save(where, records.SlotRecord("Act", True, {("path", 0): made}))
    found = records.load(where)
    assert (found.made_action, found.made_slot) == ("Act", True)
    [back] = found.curves.values()
    assert (back.frames.tolist(), back.values.tolist(), back.made, back.before) == ([1, 5], [0.5, 0.25], True, 0.125)


@pytest.mark.parametrize("before", ["NaN", "Infinity", '"nan"', "true", "null", "1e999", "[]"])
def test_a_value_that_no_property_can_go_back_to_is_no_record(before: str) -> None:
    """It would be written to the shape key when the performance is cleared."""
    rows = f'[["p", 0, {{"f": "", "v": "", "m": true, "b": {before}}}]]'
    text = f'{{"version": 2, "slots": {{"a": {{"action": "", "slot": true, "curves": {rows}}}}}}}'
    assert records.load(place(text)).curves == {}
    assert records.load(place(text.replace(f'"b": {before}', '"b": 0.5'))).curves.keys() == {("p", 0)}


life = st.fixed_dictionaries(
    {
        "start": st.integers() | anything,
        "end": st.integers() | anything,
        "seed": st.integers() | anything,
        "amounts": st.lists(numbers, min_size=4, max_size=4) | anything,
        "blend": st.sampled_from(["REPLACE", "COMBINE", "NONE"]) | anything,
        "made": st.booleans() | anything,
        "default": numbers | anything,
        "before": st.lists(st.tuples(st.text(max_size=5), st.integers(0, 3), numbers)) | anything,
    }
)


@given(life.map(json.dumps) | anything)
def test_a_record_of_life_is_in_range_or_an_empty_one(value: Any) -> None:
    try:
        found = life_records._parse(value)
    except (life_records.FacescriptError, TypeError, ValueError):
        return
    take = found.take
    assert all(0.0 <= share <= 1.0 for share in (take.amounts.blinks, take.amounts.drift))
    assert all(-(2**31) <= number < 2**31 for number in (take.start, take.end, take.seed))
    assert all(map(math.isfinite, (found.default, *found.before.values())))
    assert found.blend in ("REPLACE", "COMBINE", "ADD", "SUBTRACT", "MULTIPLY")


SOURCE = {"name": "a.csv", "rate": 60.0, "start": 3600.0, "frame": 1.0, "angles": "RADIANS"}


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 0.0},
        {"rate": "60"},
        {"rate": math.nan},
        {"start": -1.0},
        {"frame": 1e9},
        {"angles": "TURNS"},
        {"name": 3},
        {"more": 1},
    ],
)
def test_a_recording_that_cannot_have_been_is_forgotten(changes: dict[str, Any]) -> None:
    obj = rigs.face(keys=["jawOpen", "jawLeft"])
    target = find_target(obj)
    timeline.write(target, performance((0.0, {"jawOpen": 0.5}), (1.0, {})))
    action = find_place(obj.data.shape_keys).action
    action[captures.PROPERTY] = json.dumps(SOURCE)
    assert captures.source_of(target) == captures.Source(**SOURCE)
    action[captures.PROPERTY] = json.dumps(SOURCE | changes)
    assert captures.source_of(target) is None
    for odd in (7, "null", "[" * 100_000, [1.0, 2.0]):
        action[captures.PROPERTY] = odd
        assert captures.source_of(target) is None


@pytest.mark.parametrize("value", [7, "null", "7", "{", "[" * 100_000, [1.0, 2.0]])
def test_names_that_cannot_be_read_rename_nothing(value: Any) -> None:
    action = {"facescript_names": value}
    assert takes._renamed(action, rigs.face(keys=["jawOpen", "jawLeft"]).data.shape_keys) == {}
