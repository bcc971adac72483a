# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes, the NLA, life, presets and long scripts in a windowed Blender with the built zip."""

from __future__ import annotations

from typing import Any

import pytest
import windowed
from test_editing_window import write_performance

pytestmark = [pytest.mark.window, pytest.mark.slow]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    return windowed.happened(tmp_path_factory, "takes_in_window.py", performance=write_performance)


def test_takes_are_flipped_like_drawings(found: dict[str, Any]) -> None:
    assert found["takes"] == 2
    # The smile of the second beat is 0.6, and half of it in the second take.
    assert found["first"] == [0.6, True]
    assert found["second"] == found["again"] == 0.3


def test_a_take_is_appended_after_the_other(found: dict[str, Any]) -> None:
    # A second after the end at 121: the same four beats again.
    assert found["appended"] == [1, 37, 73, 121, 145, 181, 217, 265]
    assert found["append_undone"] == 4


def test_a_performance_plays_from_the_nla_and_comes_back(found: dict[str, Any]) -> None:
    assert found["nla_tracks"] and found["nla_keys"] == 0 and found["nla_same"]
    assert found["nla_left"] == []
    assert found["nla_back"] and found["nla_back_same"]


def test_life_comes_and_goes(found: dict[str, Any]) -> None:
    assert found["life_tracks"] == ["Facescript Life"]
    # Away from the beat whose eyes are closed.
    assert found["without"] < 0.05 < 0.5 < found["blinks"]
    assert found["muted"]
    assert found["life_left"] == []


def test_motion_and_presets_are_written_at_once(found: dict[str, Any]) -> None:
    before, after = found["attack"]
    # Four times as slow, the smile is on its way earlier.
    assert after > before
    assert found["preset"] == "snappy"


def test_a_long_script_is_a_table_and_a_mistake_has_its_line(found: dict[str, Any]) -> None:
    assert [number for number, _, _ in found["lines"]] == [1, 3, 4]
    assert [frame for _, frame, _ in found["lines"]][:2] == [1, 49]
    assert "Line 3" in found["mistake"]
    assert found["cursor"] == 3


def test_nothing_is_printed_by_a_panel_that_fails_to_draw(found: dict[str, Any]) -> None:
    assert "Traceback" not in found["log"]
