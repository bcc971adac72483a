# SPDX-License-Identifier: GPL-3.0-or-later
"""A windowed Blender with the built zip: the panel is opened, Generate pressed, undone and redone."""

from __future__ import annotations

from typing import Any

import pytest
import windowed


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    return windowed.happened(tmp_path_factory, "generate_in_window.py", model=True)


pytestmark = [pytest.mark.window, pytest.mark.model, pytest.mark.slow]


def test_pressing_generate_writes_keys_and_lists_the_beats(found: dict[str, Any]) -> None:
    assert found["started"]
    assert found["session_error"] == ""
    assert 3 <= len(found["beats"]) <= 6
    assert found["beats"][0][0] == 1
    first, last = found["beats"][0][0], found["beats"][-1][0]
    assert found["keys"] and all(first <= frame <= last for _, frame, _ in found["keys"])


def test_nothing_is_written_before_the_performance_is_whole(found: dict[str, Any]) -> None:
    assert found["keys_while_running"] == 0


def test_one_undo_takes_the_generation_back_and_redo_brings_it_again(found: dict[str, Any]) -> None:
    assert (found["keys_after_undo"], found["beats_after_undo"]) == (0, 0)
    assert found["script_after_undo"].startswith("You got the job")
    assert found["keys_after_redo"] == found["keys"]


def test_selecting_a_beat_goes_there(found: dict[str, Any]) -> None:
    assert found["frame"] == found["beats"][-1][0]


def test_nothing_is_printed_by_a_panel_that_fails_to_draw(found: dict[str, Any]) -> None:
    assert "Traceback" not in found["log"]
    assert "Error" not in found["log"]


def test_the_pictures_show_what_the_user_sees(found: dict[str, Any]) -> None:
    shares = found["pictures"]
    # A part of the sidebar in the blue of a progress bar while it runs, and in the blue of the selected row after.
    assert shares["running"]["blue"] > 0.004
    assert shares["last_beat"]["blue"] > 0.004
    # The face changed between the neutral pose and the last beat.
    assert shares["face_changed"] > 0.002
