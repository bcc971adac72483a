# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts of several lines: in a text, checked, as a table, and generated line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

SCENE = "You came back.\n(She smiles.)\n\n[6s] Don't go again.\nStay here, with me, for once."


@pytest.fixture
def face(extension: Any) -> Any:
    """A face whose script is in a text, at 24 frames a second from frame 11."""
    bpy.context.scene.render.fps = 24
    bpy.ops.facescript.add_face()
    face = bpy.context.view_layer.objects.active.facescript
    face.text = bpy.data.texts.new("Scene")
    face.text.write(SCENE)
    face.start_frame = 11
    return face


def table() -> Any:
    return bpy.context.window_manager.facescript_lines


def put(face: Any, tmp_path: Path, times: list[float]) -> None:
    """Beats at seconds from the start."""
    rows = [{"t": t, "text": f"beat at {t:g}", "pose": {"jawOpen": 0.1 + 0.01 * i}} for i, t in enumerate(times)]
    path = tmp_path / "beats.jsonl"
    path.write_text(json.dumps({"keyframes": rows}))
    bpy.ops.facescript.import_performance(filepath=str(path))


def test_the_one_line_script_moves_into_a_text(extension: Any) -> None:
    bpy.ops.facescript.add_face()
    face = bpy.context.view_layer.objects.active.facescript
    face.script = "Hello. (She waves.)"
    assert bpy.ops.facescript.script_to_text() == {"FINISHED"}
    assert face.text.as_string() == "Hello. (She waves.)" and face.script == ""
    assert face.brief().script == "Hello. (She waves.)"
    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.facescript.script_to_text()


def test_the_table_says_what_happens_when(face: Any, tmp_path: Path) -> None:
    put(face, tmp_path, [0.0, 0.7, 6.0, 9.5])
    assert bpy.ops.facescript.check_script() == {"FINISHED"}
    rows = table().rows
    assert [row.number for row in rows] == [1, 2, 4, 5]
    assert [row.words for row in rows][:2] == ["You came back.", "She smiles."]
    assert (rows[0].frame, rows[2].frame) == (11, 11 + 6 * 24)
    assert rows[0].time + rows[0].seconds == pytest.approx(rows[1].time, abs=1e-4)
    assert [row.beats for row in rows] == [2, 0, 1, 1]


def test_selecting_a_line_goes_there_and_selects_its_beat(face: Any, tmp_path: Path) -> None:
    put(face, tmp_path, [0.0, 6.0, 9.5])
    bpy.ops.facescript.check_script()
    table().active = 2
    assert bpy.context.scene.frame_current == 11 + 6 * 24
    assert face.active_beat == 1
    assert face.text.current_line_index == 3


def test_what_is_wrong_in_a_script_is_said_with_its_line_and_the_cursor_put_there(face: Any, extension: Any) -> None:
    face.text.clear()
    face.text.write("Hello.\n[5s] One.\n[2s] Two.\nAnd on.")
    face.text.cursor_set(0)
    with pytest.raises(RuntimeError, match="Line 3"):
        bpy.ops.facescript.check_script()
    assert face.text.current_line_index == 2
    assert extension.session.error.line == 3
    assert len(table().rows) == 0


@pytest.mark.model
def test_one_line_is_generated_anew_and_the_others_stay(face: Any, model: Any) -> None:
    assert bpy.ops.facescript.generate(wait=True) == {"FINISHED"}
    face.beats[0].text = "mine"
    before = [(beat.frame, beat.text) for beat in face.beats]
    face.seed = 5
    assert bpy.ops.facescript.regenerate_line(line=4, wait=True) == {"FINISHED"}
    bpy.ops.facescript.check_script()
    row = next(row for row in table().rows if row.number == 4)
    after = [(beat.frame, beat.text) for beat in face.beats]
    outside = [(f, t) for f, t in before if not row.frame <= f < row.end]
    assert [(f, t) for f, t in after if not row.frame <= f < row.end] == outside
    assert row.beats == 1
    assert json.loads(face.performed)["script"] == SCENE


@pytest.mark.model
def test_from_a_line_on_everything_after_it_is_generated_but_what_is_locked(face: Any, model: Any) -> None:
    assert bpy.ops.facescript.generate(wait=True) == {"FINISHED"}
    count = len(face.beats)
    first = [(beat.frame, beat.text) for beat in face.beats][:2]
    face.beats[-1].text = "kept"
    face.beats[-1].locked = True
    last = face.beats[-1].frame
    assert bpy.ops.facescript.regenerate_line(line=4, onward=True, wait=True) == {"FINISHED"}
    after = [(beat.frame, beat.text) for beat in face.beats]
    assert after[:2] == first and (last, "kept") in after
    assert len(after) == count
