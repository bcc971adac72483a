# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest
from facescript.performance import CHANNELS, FacescriptError, Performance, keyframeface
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_pose

# As KeyframeFace's repository has it (example_result.jsonl): one answer a line, as text inside JSON, with one decimal.
ONE = {"EyeBlinkLeft": 0.0, "EyeLookDownLeft": 0.2, "MouthPressLeft": 0.4, "BrowInnerUp": 0.3, "HeadPitch": -0.1}
TWO = {"EyeBlinkLeft": 0.0, "JawOpen": 0.1, "MouthSmileLeft": 0.4, "MouthSmileRight": 0.4, "LeftEyePitch": 0.1}
QUESTION = (
    "Keyframe Description Sequence:\n- Keyframe One: lips press\n- Keyframe Two: a slow smile\n\n"
    "Background: At the door\nEmotion: Delighted\n\nTask Instruction: Generate the facial expression parameters for "
    "Keyframe One."
)


def _line(name: str, pose: dict[str, float], **more: object) -> str:
    return json.dumps({"response": json.dumps({name: pose}), **more})


def _poses(performance: Performance) -> list[dict[str, float]]:
    return [k.pose.active() for k in performance.keyframes]


FIRST = {"eyeLookDownLeft": 0.2, "mouthPressLeft": 0.4, "browInnerUp": 0.3, "headPitch": -0.1, "leftEyePitch": -0.2}
SECOND = {"jawOpen": 0.1, "mouthSmileLeft": 0.4, "mouthSmileRight": 0.4, "leftEyePitch": 0.1}
CAMEL = {name[0].lower() + name[1:]: value for name, value in ONE.items()}

FORMS = {
    "a file of results": f"{_line('Keyframe_one', ONE)}\n\n{_line('Keyframe_two', TWO)}\n",
    "plain lines": json.dumps({"Keyframe_one": ONE}) + "\n" + json.dumps({"Keyframe_two": TWO}),
    "one object, any order": json.dumps({"Keyframe_two": TWO, "Keyframe_one": ONE}, indent=2),
    "numbers in digits": json.dumps({"Keyframe_1": ONE, "keyframe 2": TWO}),
    "a fence and words": f'Sure! In the form {{"Keyframe_x":{{...}}}}:\n```json\n{json.dumps({"Keyframe_one": ONE})}\n'
    f"```\nand then\n```\n{json.dumps({'Keyframe_two': TWO})}\n```\nDone {{really}}.",
    "a list of poses": json.dumps([CAMEL, TWO]),
    "a list with names": json.dumps([{"Keyframe_one": CAMEL}, {"Keyframe_two": TWO}]),
    "nested": json.dumps({"result": {"keyframes": [{"blendshapes": ONE}, {"blendshapes": TWO}]}}),
    "a server's replies": "\n".join(
        json.dumps({"choices": [{"message": {"role": "assistant", "content": json.dumps({name: pose})}}]})
        for name, pose in (("Keyframe_one", ONE), ("Keyframe_two", TWO))
    ),
    "conversations": "\n".join(
        json.dumps({"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": json.dumps(pose)}]})
        for pose in (ONE, TWO)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_two_poses(form: str) -> None:
    (performance,) = keyframeface.parse(FORMS[form])
    assert _poses(performance) == [FIRST, SECOND]
    # KeyframeFace's converter puts them one second apart.
    assert performance.times.tolist() == [0.0, 1.0]


def test_times_and_words_are_taken_where_they_are_given() -> None:
    text = json.dumps(
        {"Keyframe_one": {"t": 0.5, "text": "lips press", **ONE}, "Keyframe_two": {"time": "2.25s", **TWO}}
    )
    (performance,) = keyframeface.parse(text)
    assert [(k.time, k.text) for k in performance.keyframes] == [(0.5, "lips press"), (2.25, "")]
    outer = json.dumps([{"time": 1, "description": "a smile", "pose": TWO}])
    assert [(k.time, k.text) for k in keyframeface.parse(outer)[0].keyframes] == [(1.0, "a smile")]


def test_keyframes_without_a_time_follow_the_one_before() -> None:
    text = json.dumps([{"t": 0.5, "pose": ONE}, {"pose": TWO}, {"t": 9.0, "pose": ONE}])
    assert keyframeface.parse(text, gap=0.25)[0].times.tolist() == [0.5, 0.75, 9.0]


def test_the_question_beside_the_answer_gives_the_words() -> None:
    messages = [{"role": "system", "content": "You are"}, {"role": "user", "content": QUESTION}]
    lines = [_line("Keyframe_one", ONE, messages=messages), _line("Keyframe_two", TWO, messages=messages)]
    (performance,) = keyframeface.parse("\n".join(lines))
    assert [k.text for k in performance.keyframes] == ["lips press", "a slow smile"]
    assert (performance.brief.background, performance.brief.emotion) == ("At the door", "Delighted")


def test_a_number_that_does_not_rise_begins_another_performance() -> None:
    lines = [_line(name, ONE) for name in ("Keyframe_one", "Keyframe_two", "Keyframe_one", "Keyframe_two")]
    assert [len(p.keyframes) for p in keyframeface.parse("\n".join(lines))] == [2, 2]


def test_numbers_are_read_in_words() -> None:
    names = ["Keyframe_nine", "Keyframe_nineteen", "Keyframe_twenty", "Keyframe_twentyone", "Keyframe_99"]
    (performance,) = keyframeface.parse(json.dumps(dict.fromkeys(reversed(names), ONE)))
    assert len(performance.keyframes) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "No keyframe was found."),
        ("I cannot do that.", 'Expected {"Keyframe_one"'),
        (_line("Keyframe_one", ONE) + '\n{"response":"No."}', "Line 2: The answer 'No.' holds no keyframe."),
        (_line("Keyframe_one", ONE) + '\n\n{"Keyframe_two": {"JawOpen": 0.', "Line 3: This is not JSON"),
        ('{"Keyframe_one": {"JawOpen": 7}}', "Line 1: Keyframe 1: Channel jawOpen is 7, outside [0, 1]."),
        ('\n{"Keyframe_two": {"JawOpen": NaN}}', "Line 2: NaN is not a finite number"),
        ('{"Keyframe_one": {"JawOpen": "wide"}}', "Keyframe 1: Channel jawOpen is 'wide', which is not a number."),
        ('{"Keyframe_one": {"JawOpen": 0.1, "JawOpn": 0.1}}', "Did you mean jawOpen?"),
        ('{"Keyframe_one": {"JawOpen": 0.1, "JawOpen": 0.2}}', "'JawOpen' is given twice"),
        ('{"Keyframe_one": {}}', "Keyframe 1 has no channel."),
        ('[{"t": "soon", "pose": {"JawOpen": 0}}]', "The time 'soon' is not a number of seconds."),
        ('[{"t": 2, "pose": {"JawOpen": 0}}, {"t": 1, "pose": {"JawOpen": 0}}]', "not after the one before"),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
    ],
)
def test_bad_text_says_what_and_where(text: str, words: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        keyframeface.parse(text)
    assert words in str(caught.value)


def test_errors_of_a_file_name_it(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('\n{"Keyframe_one": {"JawOpen": 7}}')
    with pytest.raises(FacescriptError, match=r"answers\.jsonl, line 2: Keyframe 1"):
        keyframeface.read(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FacescriptError, match="not UTF-8"):
        keyframeface.read(path)
    with pytest.raises(FacescriptError, match="Cannot read"):
        keyframeface.read(tmp_path / "none.jsonl")


_PIECES = """{"Keyframe_one":|{"JawOpen":0.5}|}|{|[|]|,|"response":|"{\\"JawOpen\\":1}"|"t":|1e400|```json|NaN|é
{"messages":[{"role":"user","content":"- Keyframe One: x"}]}|\\u0000|0.1|\n"""
_pieces = st.sampled_from(_PIECES.split("|"))


@given(st.one_of(st.text(max_size=200), st.lists(_pieces, max_size=12).map("".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        performances = keyframeface.parse(text)
    except FacescriptError as error:
        assert error.message
    else:
        assert performances and all(p.keyframes for p in performances)


@given(poses=st.lists(any_pose, min_size=1, max_size=4))
def test_what_is_written_in_its_form_is_read(poses: list[object]) -> None:
    names = ["Keyframe_one", "Keyframe_two", "Keyframe_three", "Keyframe_four"]
    rows = [
        {name: {c.pascal: v for c, v in zip(CHANNELS, pose, strict=True)}}  # type: ignore[call-overload]
        for name, pose in zip(names, poses, strict=False)
    ]
    (performance,) = keyframeface.parse("\n".join(json.dumps({"response": json.dumps(row)}) for row in rows))
    assert [k.pose for k in performance.keyframes] == poses
