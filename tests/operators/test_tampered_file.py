# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that a .blend from elsewhere holds past their properties' limits, which Blender does not hold it to."""

from __future__ import annotations

import math
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from scenes import keys  # noqa: E402


def stored(obj: Any) -> Any:
    """Where Blender keeps an add-on's properties of an object: apart from the user's own since 5.0."""
    return obj.bl_system_properties_get(do_create=True) if hasattr(obj, "bl_system_properties_get") else obj


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, -1e30])
def test_numbers_of_a_mapping_are_finite_and_in_range(performed: Any, value: float) -> None:
    assert bpy.ops.facescript.edit_mapping() == {"FINISHED"}
    table = performed.facescript_mapping
    count = len(table.read().rows)
    row = stored(performed)["facescript_mapping"]["rows"][0]
    for name in ("gain", "offset", "confidence", "low", "high"):
        row[name] = value
    row["index"] = -5
    found = table.read()
    assert len(found.rows) == count
    first = found.rows[0]
    assert all(math.isfinite(n) and abs(n) <= 1000.0 for n in (first.gain, first.offset, first.confidence))
    assert first.index == 0 and not math.isnan(first.low) and not math.isnan(first.high)


def test_a_row_of_an_unknown_kind_shows_nothing(performed: Any) -> None:
    assert bpy.ops.facescript.edit_mapping() == {"FINISHED"}
    table = performed.facescript_mapping
    count = len(table.read().rows)
    stored(performed)["facescript_mapping"]["rows"][0]["kind"] = 77
    assert len(table.read().rows) == count - 1


@pytest.mark.parametrize("name", ["written_strength", "pose"])
def test_a_beat_that_cannot_be_is_said_and_changes_no_key(performed: Any, tmp_path: Any, name: str) -> None:
    before = keys()
    beat = stored(performed)["facescript"]["beats"][0]
    beat[name] = math.nan if name == "written_strength" else '{"jawOpen": NaN}'
    with pytest.raises(RuntimeError, match="not a finite number"):
        bpy.ops.facescript.export_performance(filepath=str(tmp_path / "out.jsonl"))
    assert keys() == before and not (tmp_path / "out.jsonl").exists()
