# SPDX-License-Identifier: GPL-3.0-or-later
"""A session of edits in a windowed Blender with the built zip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import windowed

ROWS: list[dict[str, Any]] = [
    {"t": 0.0, "text": "She rests", "pose": {"jawOpen": 0.1, "headYaw": 0.3}},
    {"t": 1.5, "text": "A smile, the mouth opens", "pose": {"jawOpen": 0.5, "mouthSmile": 0.6, "headYaw": -0.3}},
    {"t": 3.0, "text": "The eyes close", "pose": {"jawOpen": 0.2, "eyeBlink": 1.0, "browInnerUp": 0.4}},
    {"t": 5.0, "text": "The left brow goes up", "pose": {"jawOpen": 0.4, "browOuterUpLeft": 0.7}},
]

pytestmark = [pytest.mark.window, pytest.mark.model, pytest.mark.slow]


def write_performance(folder: Path) -> str:
    """The file that the script imports."""
    path = folder / "performance.jsonl"
    path.write_text(json.dumps({"script": "Oh. It is you.", "keyframes": ROWS}))
    return str(path)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    # Nothing is looked at in its pictures: a small window draws its hundreds of steps faster.
    return windowed.happened(
        tmp_path_factory,
        "edit_in_window.py",
        model=True,
        performance=write_performance,
        screen=(1000, 700),
        timeout=1500.0,
    )


def test_the_beats_are_listed(found: dict[str, Any]) -> None:
    assert [(frame, text) for frame, text, _, _ in found["start"]] == [
        (1, "She rests"),
        (37, "A smile, the mouth opens"),
        (73, "The eyes close"),
        (121, "The left brow goes up"),
    ]


def test_a_dragged_marker_takes_its_beat_along(found: dict[str, Any]) -> None:
    assert found["marker"] == [44, 44]


def test_a_dragged_column_of_keys_takes_its_beat_along(found: dict[str, Any]) -> None:
    assert found["column"] == [121, 131, 131]


def test_a_pose_changed_in_the_graph_editor_is_the_animators(found: dict[str, Any]) -> None:
    assert found["by_hand"] == [False, True, False, False]


def test_selecting_a_beat_jumps_there(found: dict[str, Any]) -> None:
    assert found["jumped"][0] == found["jumped"][1] == 73


def test_thirty_steps_are_undone_and_redone_exactly(found: dict[str, Any]) -> None:
    assert found["states"] == 31
    assert found["session_error"] == ""
    assert found["undo"] == [True] * 30
    assert found["redo"] == [True] * 30


def test_a_pose_is_copied_to_another_beat(found: dict[str, Any]) -> None:
    one, other = found["pasted"]
    assert one[0] == other[0]
    assert other[1:] == pytest.approx(one[1:], abs=1e-3)


def test_a_beat_is_made_anew_from_its_description(found: dict[str, Any]) -> None:
    assert found["returned_at_once"] < 5.0
    assert max(found["regenerated"]) > 0.5


def test_other_takes_are_shown_in_place_and_given_up(found: dict[str, Any]) -> None:
    assert len(found["variations"]) == len(set(found["variations"])) == 4
    assert found["different"] == 4
    assert found["discarded"] == found["variations"][0]


def test_a_wish_in_words_changes_the_pose(found: dict[str, Any]) -> None:
    before, after = found["adjusted"]
    assert after > before + 0.3


def test_a_regeneration_is_one_step_of_undo(found: dict[str, Any]) -> None:
    assert found["undone_regeneration"]
    assert found["text_after_undo"] != "A wink of the left eye"


def test_nothing_is_printed_by_a_panel_that_fails_to_draw(found: dict[str, Any]) -> None:
    assert "Traceback" not in found["log"]
