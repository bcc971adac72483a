# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes as training data: as the keys are now, a line each, and nothing that was in the file is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

bpy = pytest.importorskip("bpy")

from facescript.performance import jsonl  # noqa: E402
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
    key_by_hand(performed, "cheekPuff", 25, 0.5)
    export(path)
    assert path.read_text().startswith(first) and len(read(path)) == 3
    export(path, existing="REPLACE")
    [only] = read(path)
    assert only.keyframes[1].pose["cheekPuff"] == pytest.approx(0.5)


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
