# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest
from facescript.performance import Brief, FacescriptError, Keyframe, Performance, Pose, jsonl
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_pose

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@st.composite
def performances(draw: st.DrawFn) -> Performance:
    gaps = draw(st.lists(st.integers(1, 5000), min_size=1, max_size=5))
    times = [sum(gaps[:i]) / 1000 for i in range(len(gaps))]
    keyframes = tuple(Keyframe(time, draw(texts), draw(any_pose)) for time in times)
    return Performance(Brief(draw(texts), draw(texts), draw(texts), draw(texts)), keyframes)


@given(performances())
def test_a_performance_reads_back_as_it_was_written(performance: Performance) -> None:
    line = jsonl.to_line(jsonl.performance_to_dict(performance))
    assert line.count("\n") == 1
    back = jsonl.performance_from_dict(jsonl.parse_object(line))
    assert back.brief == performance.brief
    assert back.times.tolist() == performance.times.tolist()
    assert abs(back.poses - performance.poses).max() <= 0.5e-4


@given(st.binary(max_size=200))
def test_any_bytes_give_an_object_or_a_clear_error(line: bytes) -> None:
    try:
        jsonl.brief_from_dict(jsonl.parse_object(line))
    except FacescriptError as error:
        assert error.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
rows = st.fixed_dictionaries({}, optional={"t": json_values, "text": json_values, "pose": json_values})
entries = st.fixed_dictionaries(
    {}, optional={"id": json_values, "script": json_values, "keyframes": json_values | st.lists(rows, max_size=3)}
)


@given(entries)
def test_any_json_gives_a_performance_in_range_or_a_clear_error(entry: dict[str, object]) -> None:
    for parse in (jsonl.brief_from_dict, jsonl.performance_from_dict):
        try:
            found = parse(entry)
        except FacescriptError as error:
            assert error.message
        else:
            assert isinstance(found, (Brief, Performance))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1]", "Expected a JSON object, found list"),
        ("{", "not JSON"),
        ('{"script": NaN}', "NaN is not a finite number"),
        ('{"script": "a", "script": "b"}', "'script' is given twice"),
        ('{"script": 3}', "'script' is int, not a text"),
        ('{"keyframes": {}}', "not a list of objects"),
        ('{"keyframes": [{"t": "0", "text": "x"}]}', "Keyframe 1: 't' is not a number"),
        ('{"keyframes": [{"time": 0, "text": "x"}]}', "Keyframe 1: 't' is missing, the time in seconds."),
        ('{"keyframes": [{"t": 1e400, "text": "x"}]}', "1e400 is too large a number"),
        ('{"script": "\\ud800"}', "half a character"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_lines_say_what_is_wrong(line: str, words: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        jsonl.brief_from_dict(jsonl.parse_object(line))
    assert words in str(caught.value)


def test_errors_name_the_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"script": "Hi."}\n\n{"script": 1}\n')
    with pytest.raises(FacescriptError, match=r"in\.jsonl, line 3: 'script' is int"):
        list(jsonl.read_briefs(path))
    with pytest.raises(FacescriptError, match="Cannot read"):
        list(jsonl.read_briefs(tmp_path / "nothing.jsonl"))


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"script": "Hi."}\n')
    assert [brief.script for brief in jsonl.read_briefs(path)] == ["Hi."]


def test_a_keyframe_without_a_pose_is_refused_by_number() -> None:
    entry = {"keyframes": [{"t": 0, "text": "a", "pose": {}}, {"t": 1, "text": "b", "pose": {"jawOpen": 2}}]}
    with pytest.raises(FacescriptError, match="Keyframe 2: Channel jawOpen is 2"):
        jsonl.performance_from_dict(entry)
    with pytest.raises(FacescriptError, match="Keyframe 1 has no pose"):
        jsonl.performance_from_dict({"keyframes": [{"t": 0, "text": "a"}]})


def test_the_shared_corpus_reads_whole(shared: Path) -> None:
    found = [p for path in sorted((shared / "corpus").glob("*.jsonl")) for p in jsonl.read_performances(path)]
    assert (len(found), sum(len(p.keyframes) for p in found)) == (1480, 5300)


def test_a_written_performance_has_all_channels() -> None:
    performance = Performance(Brief("Hi.", id="x"), (Keyframe(0.0, "smiles", Pose.from_dict({"mouthSmile": 0.5})),))
    entry = json.loads(jsonl.to_line(jsonl.performance_to_dict(performance)))
    assert len(entry["keyframes"][0]["pose"]) == 61
    assert entry["keyframes"][0]["pose"]["mouthSmileRight"] == 0.5


def test_times_are_whole_milliseconds_so_that_what_is_read_can_be_written_and_read_again() -> None:
    entry = {"keyframes": [{"t": -0.0001, "text": "a"}, {"t": 1.23449, "text": "b"}]}
    assert [beat.time for beat in jsonl.brief_from_dict(entry).beats] == [0.0, 1.234]
    with pytest.raises(FacescriptError, match="Keyframe 2 is at 0 s, not after"):
        jsonl.brief_from_dict({"keyframes": [{"t": 0.0001, "text": "a"}, {"t": 0.0002, "text": "b"}]})
