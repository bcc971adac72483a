# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from facescript.inference import protocol
from facescript.inference.options import ModelOptions
from facescript.inference.protocol import (
    Alive,
    BeatFound,
    Cancelled,
    Done,
    Event,
    Failed,
    KeyframeMade,
    Progress,
    Ready,
    Request,
)
from facescript.performance import Beat, Brief, FacescriptError, Keyframe, Pose
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_pose

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ids = st.integers(1, 2**53)
times = st.integers(0, 80_000_000).map(lambda ms: ms / 1000)
places = st.integers(1, 4000).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))
poses = any_pose.map(lambda pose: Pose.from_dict(pose.to_dict()))
events = st.one_of(
    st.builds(Ready, st.integers(0, 99), st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True)),
    st.builds(Alive, st.integers(0, 2**53), st.integers(0, 10**9).map(lambda n: n / 1000)),
    st.builds(Progress, ids, st.integers(0, 10_000).map(lambda n: n / 10_000), texts),
    st.builds(lambda i, p, t, x: BeatFound(i, *p, Beat(t, x)), ids, places, times, texts),
    st.builds(lambda i, p, t, x, pose: KeyframeMade(i, *p, Keyframe(t, x, pose)), ids, places, times, texts, poses),
    st.builds(Done, ids, texts),
    st.builds(Cancelled, ids),
)


@given(events)
def test_events_read_back_as_they_were_written(event: Event) -> None:
    line = protocol.event_to_line(event)
    assert line.count("\n") == 1
    assert line.isascii()
    assert protocol.parse_event(line.encode()) == event


def test_an_error_reads_back_with_its_code_and_hint() -> None:
    sent = Failed(3, FacescriptError("no_model", "There is none in /m\udcff.", "Choose another.", pause=90.0))
    found = protocol.parse_event(protocol.event_to_line(sent).encode())
    assert isinstance(found, Failed)
    error = found.error
    assert (found.id, error.code, error.message, error.hint) == (
        3,
        "no_model",
        "There is none in /m\udcff.",
        "Choose another.",
    )
    assert error.pause == 90.0


briefs = st.builds(
    lambda script, background, emotion, name, gaps, words: Brief(
        script, background, emotion, name, tuple(Beat(sum(gaps[: i + 1]) / 1000, words) for i in range(len(gaps)))
    ),
    texts,
    texts,
    texts,
    texts,
    st.lists(st.integers(1, 5000), max_size=4),
    texts,
)


@given(ids, st.sampled_from(["generate", "pose", "pose_each"]), briefs, st.integers(-(2**53), 2**53))
def test_requests_read_back_as_they_were_written(number: int, kind: str, brief: Brief, seed: int) -> None:
    request = Request(number, kind, brief, ModelOptions("local", "/models/\udcff", "", "nf4"), seed)
    assert protocol.parse_request(protocol.request_to_line(request).encode()) == request


@given(briefs.filter(lambda brief: len(brief.beats) > 1), st.data())
def test_requests_for_some_beats_read_back_as_they_were_written(brief: Brief, data: st.DataObject) -> None:
    place = st.integers(0, len(brief.beats) - 1)
    at = tuple(sorted(data.draw(st.sets(place, min_size=1))))
    one, count = data.draw(place), data.draw(st.integers(1, 16))
    for request in (Request(1, "pose_some", brief, at=at), Request(1, "alternatives", brief, at=(one,), count=count)):
        assert protocol.parse_request(protocol.request_to_line(request).encode()) == request


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("pose_some", {}, "pose_some cannot be at [] of 3 beats"),
        ("pose_some", {"at": []}, "pose_some cannot be at [] of 3 beats"),
        ("pose_some", {"at": [3]}, "pose_some cannot be at [3] of 3 beats"),
        ("pose_some", {"at": [-1]}, "pose_some cannot be at [-1] of 3 beats"),
        ("pose_some", {"at": [1, 0]}, "pose_some cannot be at [1, 0] of 3 beats"),
        ("pose_some", {"at": [1, 1]}, "pose_some cannot be at [1, 1] of 3 beats"),
        ("pose_some", {"at": list(range(4001))}, "'at' is not a list of places"),
        ("pose_some", {"at": 1}, "'at' is not a list of places"),
        ("pose_some", {"at": {"0": 1}}, "'at' is not a list of places"),
        ("pose_some", {"at": "01"}, "'at' is not a list of places"),
        ("pose_some", {"at": None}, "'at' is not a list of places"),
        ("pose_some", {"at": [True]}, "'at' is not a whole number"),
        ("pose_some", {"at": [1.0]}, "'at' is not a whole number"),
        ("pose_some", {"at": ["1"]}, "'at' is not a whole number"),
        ("pose_some", {"at": [1], "count": 2}, "pose_some cannot give 2 alternatives"),
        ("generate", {"at": [1]}, "generate cannot be at [1]"),
        ("pose", {"at": [1]}, "pose cannot be at [1]"),
        ("pose_each", {"at": [1]}, "pose_each cannot be at [1]"),
        ("pose_each", {"count": 1}, "pose_each cannot give 1 alternatives"),
        ("alternatives", {"at": [1]}, "alternatives cannot give 0 alternatives; the most are 16"),
        ("alternatives", {"at": [1], "count": 17}, "alternatives cannot give 17 alternatives; the most are 16"),
        ("alternatives", {"at": [1], "count": -1}, "alternatives cannot give -1 alternatives"),
        ("alternatives", {"at": [1], "count": 2.0}, "'count' is not a whole number"),
        ("alternatives", {"at": [1], "count": True}, "'count' is not a whole number"),
        ("alternatives", {"at": [0, 1], "count": 2}, "alternatives cannot be at [0, 1] of 3 beats"),
        ("alternatives", {"count": 2}, "alternatives cannot be at [] of 3 beats"),
        ("alternatives", {"at": [3], "count": 2}, "alternatives cannot be at [3] of 3 beats"),
    ],
)
def test_places_and_counts_that_cannot_be_are_refused(kind: str, fields: dict[str, object], words: str) -> None:
    brief = {"keyframes": [{"t": float(n), "text": "Brows up."} for n in range(3)]}
    with pytest.raises(FacescriptError) as caught:
        protocol.parse_request(json.dumps({"id": 1, "type": kind, "brief": brief, "options": {}, **fields}))
    assert caught.value.code in ("bad_request", "bad_json")
    assert words in caught.value.message


def test_a_beat_of_none_cannot_be_asked_for() -> None:
    for kind in ("pose_some", "alternatives"):
        with pytest.raises(FacescriptError, match=r"of 0 beats"):
            protocol.parse_request(json.dumps({"id": 1, "type": kind, "brief": {}, "options": {}, "at": [0]}))


@pytest.mark.parametrize("kind", ["cancel", "shutdown"])
def test_short_requests_hold_nothing_else(kind: str) -> None:
    assert json.loads(protocol.request_to_line(Request(7, kind))) == {"id": 7, "type": kind}
    assert protocol.parse_request(f'{{"id": 7, "type": "{kind}"}}') == Request(7, kind)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**400, 10**401) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["ready", "progress", "beat", "keyframe", "done", "cancelled", "error"])
kinds = st.sampled_from([*protocol.WORK, "cancel", "shutdown"])
fields = ["id", "protocol", "fraction", "message", "index", "count", "t", "text", "pose", "label", "code", "hint"]
hostile_events = st.fixed_dictionaries({"event": names | json_values}, optional=dict.fromkeys(fields, json_values))
hostile_requests = st.fixed_dictionaries(
    {"type": kinds | json_values},
    optional={
        "id": json_values,
        "seed": json_values,
        "at": json_values,
        "count": json_values,
        "brief": json_values | st.fixed_dictionaries({"script": json_values, "keyframes": json_values}),
        "options": json_values | st.fixed_dictionaries({"backend": json_values, "model": json_values}),
    },
)


def check_any_line(line: bytes | str) -> None:
    for parse in (protocol.parse_event, protocol.parse_request):
        try:
            parse(line)
        except FacescriptError as error:
            assert error.code
            assert error.message
    assert isinstance(protocol.request_id(line), int)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_event_or_a_clear_error(line: bytes) -> None:
    check_any_line(line)


@given(hostile_events | hostile_requests)
def test_any_json_gives_an_event_or_a_clear_error(entry: dict[str, object]) -> None:
    check_any_line(json.dumps(entry))


@pytest.mark.parametrize("depth", [900, 960, 980, 990, 1000, 100_000])
@pytest.mark.parametrize(
    "line", ['{"event": %s}', '{"type": %s}', '{"event": "keyframe", "id": 1, "count": 1, "pose": {"jawOpen": %s}}']
)
def test_deep_nesting_is_an_error_like_any_other(line: str, depth: int) -> None:
    check_any_line(line % ("[" * depth + "]" * depth))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"event": "progress", "id": 1, "fraction": NaN}', "NaN is not a finite number"),
        (
            '{"event": "keyframe", "id": 1, "index": 0, "count": 1, "t": 0, "text": "", "pose": {"jawOpen": 7.0}}',
            "jawOpen is 7",
        ),
        (
            '{"event": "keyframe", "id": 1, "index": 0, "count": 1, "t": 0, "text": "", "pose": {"jawClosed": 0}}',
            "no channel 'jawClosed'",
        ),
        ('{"event": "keyframe", "id": 1, "index": 0, "count": 1, "t": 0, "text": ""}', "has no pose"),
        ('{"event": "beat", "id": 1, "index": 2, "count": 2, "t": 0, "text": ""}', "Keyframe 2 of 2 cannot be"),
        ('{"event": "beat", "id": 1, "index": 0, "count": 5000, "t": 0, "text": ""}', "Keyframe 0 of 5000 cannot be"),
        ('{"event": "beat", "id": 1, "index": 0, "count": 1, "t": -1, "text": ""}', "-1.0 seconds"),
        ('{"event": "done"}', "'done' belongs to no request"),
        ('{"event": "done", "id": true}', "'id' is not a whole number"),
        ('{"event": "error", "id": 1}', "does not say what is wrong"),
        ('{"event": "applause", "id": 1}', "no event 'applause'"),
        ("Loading weights: 100%", "not JSON"),
        ("[]", "found list"),
    ],
)
def test_what_cannot_be_used_says_why(line: str, words: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        protocol.parse_event(line)
    assert caught.value.code == "bad_answer"
    assert caught.value.hint
    assert words in caught.value.message


def test_a_fraction_is_brought_into_its_range() -> None:
    for given_, wanted in (("-3", 0.0), ("1e300", 1.0), ("9" * 40, 1.0), ("0.25", 0.25)):
        found = protocol.parse_event(f'{{"event": "progress", "id": 1, "fraction": {given_}}}')
        assert found == Progress(1, wanted, "")


def test_log_text_is_one_printable_line() -> None:
    assert protocol.plain("a\nb\x1b[31m\x00") == "a\\nb\\u001b[31m\\u0000"


@pytest.mark.parametrize(("label", "read"), [("mod\udce9l", "mod?l"), ("a\0b", "ab"), ("Modèle 模型", "Modèle 模型")])
def test_names_that_blender_cannot_keep_are_mended(label: str, read: str) -> None:
    said = json.dumps({"event": "done", "id": 1, "label": label})
    assert protocol.parse_event(said.encode()) == protocol.Done(1, read)
