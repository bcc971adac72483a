# SPDX-License-Identifier: GPL-3.0-or-later
"""A windowed Blender with the built zip: previews as the viewport shows them, Esc, and the plot in an Image Editor."""

from __future__ import annotations

from typing import Any

import pytest
import windowed
from facescript.commands import ROOT


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    performance = str(ROOT / "docs" / "examples" / "the_letter.jsonl")
    return windowed.happened(tmp_path_factory, "preview_in_window.py", performance=performance)


pytestmark = [pytest.mark.window, pytest.mark.slow]


def test_a_sheet_is_made_in_steps_while_the_window_lives(found: dict[str, Any]) -> None:
    assert found["started"] == ["RUNNING_MODAL"]
    assert found["going_on"] == ["FACESCRIPT_OT_contact_sheet"]
    assert found["sheet"]


def test_esc_stops_a_movie_and_leaves_all_as_it_was(found: dict[str, Any]) -> None:
    assert found["before_esc"] == ["FACESCRIPT_OT_preview"]
    assert found["after_esc"] == []
    assert not found["stopped_movie"]
    assert found["changed_by_esc"] == {}


def test_a_movie_has_the_viewports_shape(found: dict[str, Any]) -> None:
    frames, (width, height) = found["movie"]
    # Frames 1 to 145 and a second of rest, each 4th.
    assert frames == 43
    assert height == 200 and width > 250
    assert found["changed"] == {}


def test_a_file_can_be_chosen_and_the_movie_is_made_in_steps_all_the_same(found: dict[str, Any]) -> None:
    assert found["from_browser"] == ["FACESCRIPT_OT_preview"]
    assert found["chosen"]


def test_the_plot_is_shown_in_an_image_editor(found: dict[str, Any]) -> None:
    assert found["shown"] == "plot.png"


def test_nothing_fails_to_draw(found: dict[str, Any]) -> None:
    assert "Traceback" not in found["log"]
