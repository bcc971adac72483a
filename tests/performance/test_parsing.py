# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before anybody asks what it means; and that nothing of it takes long."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from facescript.performance import FacescriptError, jsonl, keyframeface, live_link, parsing
from hypothesis import given
from hypothesis import strategies as st

leaves = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    leaves | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_plain_json_is_read_as_python_reads_it(value: Any) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert parsing.parse_json(text.encode()) == value
        assert parsing.parse_json(b"\xef\xbb\xbf" + text.encode()) == value


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_anything_is_a_value_or_a_clear_error(source: bytes | str) -> None:
    try:
        parsing.parse_json(source)
    except FacescriptError as error:
        assert error.code == "bad_json" and error.message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('"\\ud800"', "half a character"),
        ('{"\\udc00": 1}', "half a character"),
        ('[["\\ud83d"]]', "half a character"),
        ("\ud800", "half a character"),
        ('{"a": "b\\u0000"}', "a NUL"),
        ('"a\0"', "not JSON"),
        ("-Infinity", "not a finite number"),
        ("1e999", "too large a number"),
        ("-1e999", "too large a number"),
        ("1" * 41, "too large a number"),
        ("[" * 21 + "]" * 21, "nested too deeply"),
        ("[" * 900_000 + "]" * 900_000, "nested too deeply"),
        ("[" + "1," * 1_000_001 + "1]", "more than 1,000,000 values"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' is given twice"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8 text (byte 0)"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8 text"),
        ("", "not JSON"),
        ("{} {}", "not JSON"),
    ],
    ids=lambda part: repr(part[:20]),
)
def test_what_json_would_let_through_is_refused(source: bytes | str, words: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        parsing.parse_json(source)
    assert caught.value.code == "bad_json" and words in str(caught.value)


def test_a_pair_of_halves_is_a_character() -> None:
    assert parsing.parse_json('"\\ud83d\\ude00"') == "\U0001f600"


def test_twenty_levels_are_allowed() -> None:
    assert parsing.parse_json("[" * 20 + "]" * 20)


def test_a_name_given_twice_among_very_many_is_found_at_once() -> None:
    names = ",".join(f'"{number}":0' for number in range(300_000))
    with pytest.raises(FacescriptError, match="'7' is given twice"):
        parsing.parse_object("{" + names + ',"7":0}')


def test_a_file_larger_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(FacescriptError, match="larger than 8 MiB") as caught:
        parsing.read_object(path)
    assert caught.value.code == "large_file"
    with pytest.raises(FacescriptError, match="larger than 2 KiB"):
        parsing.read_bytes(path, 2048)
    path.write_bytes(b"x" * 2048)
    assert len(parsing.read_bytes(path, 2048)) == 2048


def test_a_folder_a_missing_file_and_a_name_that_cannot_be_are_no_files(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path("a\0b")):
        with pytest.raises(FacescriptError) as caught:
            parsing.read_bytes(path, 10)
        assert caught.value.code == "no_file"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes among its files")
def test_a_pipe_is_refused_without_waiting_for_its_other_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    for read in (live_link.read, keyframeface.read):
        with pytest.raises(FacescriptError, match="is not a file"):
            read(tmp_path / "pipe.csv")
    assert not before or len(os.listdir("/proc/self/fd")) == before


# Each of these took minutes or hours where a pattern was tried from every place, or an error counted its lines anew.
@pytest.mark.parametrize(
    "text",
    [
        '{"' * 500_000,
        '{"a":' * 400_000,
        '[{"a":1},' * 200_000,
        "[[" * 400_000,
        '{"messages": [{"role": "user", "content": "' + "\\n" * 1_000_000 + '"}], "response": "x"}',
        '{"messages": [{"role": "user", "content": "' + " " * 1_000_000 + '"}], "response": "x"}',
        '{"t": "1' + " " * 1_000_000 + 'x", "jawOpen": 0}',
        '{"' + "key_frame" * 300_000 + '": {}}',
    ],
    ids=["names", "objects", "rows", "lists", "lines", "blanks", "time", "frames"],
)
def test_no_text_of_answers_takes_long(text: str) -> None:
    with pytest.raises(FacescriptError):
        keyframeface.parse(text)


def test_a_csv_of_one_endless_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "endless.csv"
    path.write_text("Timecode,BlendshapeCount,JawOpen\n" + "0" * 20_000)
    with pytest.raises(FacescriptError, match="longer than 16384 characters"):
        live_link.read(path)
    path.write_text("Timecode,BlendshapeCount,JawOpen\n00:00:00:01.0,61,1_0\n")
    with pytest.raises(FacescriptError, match="line 2: column 3 is not a number"):
        live_link.read(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"script": NaN}'),
        ("a.jsonl", '{"keyframes": [{"t": 0, "text": "a", "pose": {"jawOpen": 9}}]}'),
        ("a.json", '{"Keyframe_one": {"JawOpen": 9}}'),
        ("a.csv", "Timecode,BlendshapeCount,JawOpen\n00:00:00:01.0,61,much\n"),
        ("a.csv", "Timecode,BlendshapeCount,JawOpen,JawOpen\n"),
        ("a.csv", "Timecode,BlendshapeCount,JawOpen\n00:00:00:01.0,61,NaN\n"),
    ],
)
def test_every_error_about_a_file_names_it_and_says_what_to_do(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    read: Any = {
        ".jsonl": lambda p: list(jsonl.read_performances(p)),
        ".json": keyframeface.read,
        ".csv": live_link.read,
    }
    with pytest.raises(FacescriptError) as caught:
        read[path.suffix](path)
    assert name in caught.value.message and caught.value.hint
