# SPDX-License-Identifier: GPL-3.0-or-later
"""The mapping's table in a windowed Blender with the built zip."""

from __future__ import annotations

from typing import Any

import pytest
import windowed
from test_editing_window import write_performance

pytestmark = [pytest.mark.window, pytest.mark.slow]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    return windowed.happened(tmp_path_factory, "mapping_in_window.py", performance=write_performance)


def test_the_table_lists_every_channel_and_keys_follow_an_edit(found: dict[str, Any]) -> None:
    assert found["rows"] >= 55
    assert found["said"] == ""
    # The smile of the second beat is 0.6, and half of it by a gain of 0.5.
    assert found["edited"] == 0.3


def test_a_channel_is_played_and_the_face_put_back(found: dict[str, Any]) -> None:
    highest, same = found["played"]
    assert highest > 0.4 and same


def test_all_channels_are_played_until_escape(found: dict[str, Any]) -> None:
    assert found["run"] == [True, True]
    assert found["stopped"] == [True, True]


def test_edits_are_undone_one_by_one_and_tests_are_no_steps(found: dict[str, Any]) -> None:
    assert found["undone"] == ["jawOpen"]
    assert found["gain"] == 1.0


def test_the_slider_shows_a_channel_until_it_is_put_back(found: dict[str, Any]) -> None:
    assert found["tried"] == 1.0 and found["put_back"] == 0.0


def test_nothing_is_printed_by_a_panel_that_fails_to_draw(found: dict[str, Any]) -> None:
    assert "Traceback" not in found["log"]
