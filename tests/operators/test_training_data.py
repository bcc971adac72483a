# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes as training data: as the keys are now, a line each, and nothing that was in the file is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

bpy = pytest.importorskip("bpy")

from facescript.performance import INDEX, jsonl, live_link  # noqa: E402
from scenes import ENTRY, key_by_hand, state  # noqa: E402

SHAPES = ("jawOpen", "browInnerUp", "mouthSmileLeft", "cheekPuff", "eyeBlinkLeft", "noseSneerRight")


def export(path: Path, **options: Any) -> Any:
    return bpy.ops.facescript.export_training_data(filepath=str(path), **options)


def read(path: Path) -> list[Any]:
    """As `run.py train` reads it."""
    return list(jsonl.read_described(path))


def test_what_the_animator_changed_is_in_the_file_and_the_rest_is_as_it_was_made(
    performed: Any, tmp_path: Path
) -> None:
    key_by_hand(performed, "mouthSmileLeft", 25, 0.35)
    key_by_hand(performed, "jawOpen", 49, 0.7)
    assert export(tmp_path / "takes.jsonl") == {"FINISHED"}
    [found] = read(tmp_path / "takes.jsonl")
    assert (found.brief.script, found.brief.background, found.brief.emotion) == ("Oh, really?", "A card table", "Smug")
    assert found.times.tolist() == [0.0, 1.0, 2.0]
    assert [k.text for k in found.keyframes] == ["a neutral face", "the left corner hooks up", "eyes closed"]
    assert found.keyframes[1].pose.active() == {"mouthSmileLeft": 0.35, "headYaw": 0.2}
    assert found.keyframes[2].pose.active() == {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0, "jawOpen": 0.7}


def test_a_beat_that_was_dragged_is_at_its_new_time(performed: Any, tmp_path: Path) -> None:
    performed.facescript.beats[1].frame = 19
    assert export(tmp_path / "takes.jsonl") == {"FINISHED"}
    assert read(tmp_path / "takes.jsonl")[0].times.tolist() == [0.0, 0.75, 2.0]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(st.sampled_from(SHAPES), st.floats(0.0, 1.0), min_size=1), beat=st.integers(0, 2))
def test_any_face_that_is_keyed_reads_back_the_same(
    performed: Any, tmp_path: Path, values: dict[str, float], beat: int
) -> None:
    for shape, value in values.items():
        key_by_hand(performed, shape, (1, 25, 49)[beat], value)
    assert export(tmp_path / "takes.jsonl", existing="REPLACE") == {"FINISHED"}
    pose = read(tmp_path / "takes.jsonl")[0].keyframes[beat].pose
    # The least change that counts as one by hand is 0.004 of a channel.
    assert {name: pose[name] for name in values} == pytest.approx(values, abs=0.005)


def test_takes_are_added_to_the_file_and_none_is_there_twice(performed: Any, tmp_path: Path) -> None:
    path = tmp_path / "takes.jsonl"
    # As somebody else writes it: shorter, in another order, and without a newline at the end.
    theirs = '{"keyframes": [{"t": 0, "text": "a grin", "pose": {"mouthSmile": 0.8}}], "script": "Ha!", "author": "B"}'
    path.write_text(theirs)
    export(path)
    first = path.read_text()
    assert first.startswith(theirs + "\n") and len(read(path)) == 2
    export(path)
    assert path.read_text() == first
    performed.facescript.beats[1].text = "a corner up"
    export(path, existing="REPLACE")
    [only] = read(path)
    assert only.keyframes[1].text == "a corner up"


def test_a_take_that_was_corrected_replaces_its_line_and_no_other(
    extension: Any, performed: Any, tmp_path: Path
) -> None:
    path = tmp_path / "takes.jsonl"
    sad = json.dumps(ENTRY | {"emotion": "Sad"}) + "\r\n"
    path.write_bytes(b"\n" + sad.encode())
    export(path)
    assert "replace" not in extension.session.note
    key_by_hand(performed, "cheekPuff", 25, 0.5)
    export(path)
    assert extension.session.note == (
        "1 of 1 takes are new; the file holds 2 performances. "
        "Older lines of the same script, background and emotion, which they replace: 1."
    )
    kept, corrected = read(path)
    assert (kept.brief.emotion, kept.keyframes[1].pose["cheekPuff"]) == ("Sad", 0.0)
    assert (corrected.brief.emotion, corrected.keyframes[1].pose["cheekPuff"]) == ("Smug", pytest.approx(0.5))


def recorded(tmp_path: Path) -> Any:
    """A face with a recording as beats, from a file that is named after a person; returns its settings."""
    values = np.zeros((121, 61))
    values[60:, INDEX["jawOpen"]] = 0.8
    live_link.write(tmp_path / "Slate12_Jane_Doe_iPhone.csv", values, 60.0)
    bpy.ops.facescript.add_face()
    face = bpy.context.view_layer.objects.active.facescript
    bpy.ops.facescript.import_performance(filepath=str(tmp_path / "Slate12_Jane_Doe_iPhone.csv"), recording_as="BEATS")
    return face


def test_a_recording_has_the_texts_of_the_panel_and_not_its_files_name(extension: Any, tmp_path: Path) -> None:
    face = recorded(tmp_path)
    face.script, face.background, face.emotion = "Deal. I said deal.", "A back room", "Satisfied"
    assert export(tmp_path / "takes.jsonl") == {"FINISHED"}
    text = (tmp_path / "takes.jsonl").read_text()
    entry = json.loads(text)
    assert (entry["script"], entry["background"], entry["emotion"], entry["id"]) == (
        "Deal. I said deal.",
        "A back room",
        "Satisfied",
        "",
    )
    assert "Jane" not in text and "without a script" not in extension.session.note


def test_a_take_without_a_script_is_said_and_goes_when_the_script_is_there(extension: Any, tmp_path: Path) -> None:
    face, path = recorded(tmp_path), tmp_path / "takes.jsonl"
    export(path)
    assert extension.session.note == (
        "1 of 1 takes are new; the file holds 1 performances. Takes without a script, from which the planner learns "
        "nothing: 1. Fill in Script in the sidebar, then export again."
    )
    face.script = "Deal."
    export(path)
    assert [p.brief.script for p in read(path)] == ["Deal."]
    face.script = "x" * 100_001
    with pytest.raises(RuntimeError, match="the limit is 100000"):
        export(path)
    assert [p.brief.script for p in read(path)] == ["Deal."]


def test_what_was_typed_since_is_not_taken_for_what_a_performance_was_made_of(performed: Any, tmp_path: Path) -> None:
    performed.facescript.script, performed.facescript.emotion = "Another one.", "Glad"
    export(tmp_path / "takes.jsonl")
    [found] = read(tmp_path / "takes.jsonl")
    assert (found.brief.script, found.brief.emotion) == ("Oh, really?", "Smug")


def test_all_faces_of_a_scene_are_saved_at_once(performed: Any, tmp_path: Path) -> None:
    source = tmp_path / "other.jsonl"
    source.write_text(json.dumps(ENTRY | {"script": "No.", "id": "no"}))
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.import_performance(filepath=str(source))
    export(tmp_path / "one.jsonl")
    assert [p.brief.script for p in read(tmp_path / "one.jsonl")] == ["No."]
    export(tmp_path / "all.jsonl", scope="SCENE")
    assert sorted(p.brief.script for p in read(tmp_path / "all.jsonl")) == ["No.", "Oh, really?"]


def test_nothing_of_the_scene_is_in_the_file(performed: Any, tmp_path: Path) -> None:
    performed.name = "Secret Project Hero"
    export(tmp_path / "takes.jsonl")
    assert "Secret" not in (tmp_path / "takes.jsonl").read_text()
    entry = json.loads((tmp_path / "takes.jsonl").read_text())
    assert set(entry) == {"id", "script", "background", "emotion", "keyframes"}
    assert {name for row in entry["keyframes"] for name in row} == {"t", "text", "pose"}


def test_a_file_that_cannot_be_read_stays_as_it_is(performed: Any, tmp_path: Path) -> None:
    path = tmp_path / "takes.jsonl"
    path.write_text(json.dumps(ENTRY) + '\n{"script": "x"}\n')
    before, scene = path.read_bytes(), state()
    with pytest.raises(RuntimeError, match="line 2: 'keyframes' is not a list"):
        export(path)
    assert path.read_bytes() == before and state() == scene
    assert [p.name for p in tmp_path.glob("takes*")] == ["takes.jsonl"]


def test_a_line_that_is_no_text_is_named(performed: Any, tmp_path: Path) -> None:
    path = tmp_path / "takes.jsonl"
    path.write_bytes(json.dumps(ENTRY).encode() + b'\n{"script": "\xff"}\n')
    with pytest.raises(RuntimeError, match="line 2: This is not UTF-8 text"):
        export(path)


def test_a_beat_without_a_description_is_named_and_no_file_is_made(performed: Any, tmp_path: Path) -> None:
    performed.facescript.beats[1].text = " "
    with pytest.raises(RuntimeError, match=r"frame 25 of '.*' has no description\. Write one"):
        export(tmp_path / "takes.jsonl")
    assert not (tmp_path / "takes.jsonl").exists()


def test_a_face_without_a_performance_says_what_to_do(extension: Any, tmp_path: Path) -> None:
    bpy.ops.facescript.add_face()
    for scope, words in (("ACTIVE", "has no performance yet. Press Generate"), ("SCENE", "No face in this scene")):
        with pytest.raises(RuntimeError, match=words):
            export(tmp_path / "takes.jsonl", scope=scope)
    assert not (tmp_path / "takes.jsonl").exists()
