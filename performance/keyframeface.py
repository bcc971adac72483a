# SPDX-License-Identifier: GPL-3.0-or-later
"""KeyframeFace's answers, as its scripts save them and as language models write them.

One keyframe is `{"Keyframe_one": {"EyeBlinkLeft": 0.0, ...}}`. It comes as a line of a file of results (`{"response":
"..."}`, beside it perhaps the `messages` that were asked, which have the descriptions: MS-SWIFT's form, in which
KeyframeFace publishes `example_result.jsonl`), as a reply of a server (`choices`), in a list, several in one object,
bare without a name, in a code fence, or with words around it. Names are PascalCase or camelCase.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .channels import INDEX
from .errors import FacescriptError
from .model import MAX_TEXT, Brief, Keyframe, Performance
from .parsing import STRICT, check_text, check_value, read_text
from .pose import Pose

# Seconds between keyframes that say no times: KeyframeFace's converter puts one on each second (jsonl2csv.py).
GAP = 1.0

# Some 10,000 keyframes: KeyframeFace writes each in 1.5 kB.
MAX_BYTES = 16 << 20
# Lists and objects within one another; an answer in a reply in a list has six.
_DEPTH = 12
# Brackets in the words around answers that begin no JSON, and how many times the text may be read for them: each has to
# be tried.
_MOST_FALSE, _MOST_OVER = 200, 3
# As much of broken JSON as tells whether it was meant as an answer.
_LOOK = 1 << 12

_TIMES = ("t", "time", "seconds", "timestamp")
_TEXTS = ("text", "description")
_ANSWERS = ("response", "content", "answer", "output")
_NAME = re.compile(r"key[ _-]?frame[ _-]*([a-z]+|\d+)", re.I)
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?(?:s|sec|seconds)?", re.I)
# Written so that no two parts of it can share out the same blanks.
_ASKED = re.compile(r"^[ \t]*(?:-[ \t]*)?Keyframe (\w{1,40}): *(.*)$", re.M)
_BEGIN = re.compile(r'\{(?=\s*")|\[(?=\s*[\[{])')
_SOME_CHANNEL = re.compile("|".join(INDEX), re.I)
_CHANNELS = {name.lower() for name in INDEX}

_ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
_ONES += "seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS = {word: i for i, word in enumerate(_ONES, start=1)}
_NUMBERS |= {ten + one: 10 * i + j for i, ten in enumerate(_TENS, start=2) for j, one in enumerate(["", *_ONES[:9]])}


@dataclass(frozen=True)
class _Asked:
    """What was asked for: the descriptions by their numbers, background and emotion."""

    texts: Mapping[int, str]
    background: str = ""
    emotion: str = ""


@dataclass(frozen=True)
class _Found:
    """One keyframe: its number (0 if it says none), time (None if it says none), words, pose, and what was asked."""

    number: int
    time: float | None
    text: str
    pose: Pose
    asked: _Asked


_NOTHING = _Asked({})


def is_answer(text: str) -> bool:
    """Whether a text looks like KeyframeFace's answers rather than this project's JSON lines, which have poses."""
    if re.search(r'"key[ _-]?frame[ _-]?[a-z0-9]+\\?"\s*:\s*\{', text, re.I):
        return True
    return bool(_SOME_CHANNEL.search(text)) and not re.search(r'"pose"\s*:', text)


def read(path: Path, gap: float = GAP) -> list[Performance]:
    """Read the performances of a file, as `parse` does. Raises FacescriptError (what `parsing.read_text`
    and `parse` raise); errors name the file and the line."""
    text = read_text(path, MAX_BYTES)
    try:
        return parse(text, gap)
    except FacescriptError as error:
        hint = error.hint or "Correct the file, or have the answer made again."
        raise FacescriptError(error.code, f"{path}, {error.message[:1].lower()}{error.message[1:]}", hint) from error


def parse(text: str, gap: float = GAP) -> list[Performance]:
    """The performances in a text of answers, at least one. A number that does not rise begins the next performance.

    Keyframes that say no time follow the one before by `gap` seconds, > 0; the first is at 0. Descriptions come from
    the keyframes or from the question beside them, and are empty where nothing gives one. Channels that are left out
    are 0. Raises FacescriptError: `no_keyframes` if there is none, `bad_json`, `bad_pose`, `bad_time`, `long_text`;
    they name the line.
    """
    groups: list[list[_Found]] = []
    for line, value in _values(text):
        for found in _located(line, value):
            if not groups or _begins(groups[-1], found):
                groups.append([])
            groups[-1].append(found)
    if not groups:
        raise FacescriptError(
            "no_keyframes", "No keyframe was found.", 'Expected {"Keyframe_one": {"EyeBlinkLeft": 0.0, ...}}.'
        )
    return [_performance(group, gap) for group in groups]


def _values(text: str) -> Iterator[tuple[int, Any]]:
    """The JSON objects and lists in a text, each with its line; words around them are passed over."""
    check_text(text)
    place, line, counted, tried, over = 0, 1, 0, 0, 0
    while match := _BEGIN.search(text, place):
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        try:
            value, place = STRICT.raw_decode(text, match.start())
            check_value(value, escaped="\\" in text)
        except json.JSONDecodeError as error:
            tried, over = tried + 1, over + error.pos - match.start()
            hopeless = tried > _MOST_FALSE or over > _MOST_OVER * len(text)
            if hopeless or _is_meant(text[match.start() : min(error.pos, match.start() + _LOOK)]):
                what = f"Line {error.lineno}: This is not JSON: {error.msg} at column {error.colno}."
                raise FacescriptError("bad_json", what, "An answer that is cut off has to be made again.") from error
            place = match.end()
            continue
        except RecursionError as error:
            raise FacescriptError("bad_json", f"Line {line}: This is nested too deeply.") from error
        except FacescriptError as error:
            raise FacescriptError(error.code, f"Line {line}: {error.message}", error.hint) from error
        yield line, value


def _is_meant(text: str) -> bool:
    """Whether broken JSON was meant as an answer; a form that is only quoted, such as {"Keyframe_x":{...}}, is not."""
    return bool(_SOME_CHANNEL.search(text)) or any(_number(match[0]) for match in _NAME.finditer(text))


def _located(line: int, value: Any) -> Iterator[_Found]:
    answers = [value[name] for name in _ANSWERS if isinstance(value, dict) and isinstance(value.get(name), str)]
    try:
        found = list(_keyframes(value, _NOTHING, 0))
        if answers and not found:
            what = f"The answer {answers[0][:40]!r} holds no keyframe."
            raise FacescriptError("no_keyframes", what, "Make it again, or remove the line.")
        yield from found
    except FacescriptError as error:
        raise FacescriptError(error.code, f"Line {line}: {error.message}", error.hint) from error


def _keyframes(value: Any, asked: _Asked, depth: int) -> Iterator[_Found]:
    """The keyframes in a JSON value, in order of their numbers where they are together."""
    if depth > _DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            yield from _keyframes(item, asked, depth + 1)
    if not isinstance(value, dict):
        return
    asked = _question(value.get("messages")) or asked
    named = [(number, body) for name, body in value.items() if isinstance(body, dict) and (number := _number(name))]
    for number, body in sorted(named, key=lambda row: row[0]):
        pose = _inner_pose(body)
        if pose is None:
            raise FacescriptError("bad_pose", f"Keyframe {number} has no channel.", "Give it as {channel: value}.")
        yield _found(number, body, pose, asked)
    if named:
        return
    pose = _inner_pose(value)
    if pose is not None:
        yield _found(0, value, pose, asked)
        return
    for name, part in value.items():
        if name in _ANSWERS and isinstance(part, str):
            for _, inner in _values(part):
                yield from _keyframes(inner, asked, depth + 1)
        elif name == "messages":
            if not any(isinstance(value.get(answer), str) for answer in _ANSWERS):
                yield from _keyframes(_reply(part), asked, depth + 1)
        else:
            yield from _keyframes(part, asked, depth + 1)


def _inner_pose(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The pose that an object is or has, whatever that is called."""
    if _is_pose(value):
        return value
    return next((part for part in value.values() if isinstance(part, dict) and _is_pose(part)), None)


def _is_pose(value: Mapping[str, Any]) -> bool:
    return any(str(name).lower() in _CHANNELS for name in value)


def _number(name: str) -> int:
    """The number in a keyframe's name, or 0 if it is none."""
    match = _NAME.fullmatch(name.strip())
    if not match:
        return 0
    word = match[1].lower()
    return min(int(word[:9]), 10**6) if word.isdigit() else _NUMBERS.get(word, 0)


def _found(number: int, body: Mapping[str, Any], pose: Mapping[str, Any], asked: _Asked) -> _Found:
    plain = {str(name): v for name, v in pose.items() if str(name).lower() not in (*_TIMES, *_TEXTS)}
    times = [_time(v) for name, v in body.items() if str(name).lower() in _TIMES]
    texts = [v for name, v in body.items() if str(name).lower() in _TEXTS and isinstance(v, str)]
    try:
        made = Pose.from_dict(plain)
    except FacescriptError as error:
        where = f"Keyframe {number}: " if number else ""
        raise FacescriptError(error.code, where + error.message, error.hint) from error
    return _Found(number, times[0] if times else None, (texts or [asked.texts.get(number, "")])[0], made, asked)


def _time(value: Any) -> float:
    match = _SECONDS.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        return round(float(match[1]), 3)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FacescriptError("bad_time", f"The time {str(value)[:40]!r} is not a number of seconds.")
    try:
        return round(float(value), 3) + 0.0
    except OverflowError:
        raise FacescriptError("bad_time", "A time is too large a number.") from None


def _messages(value: Any, role: str) -> list[str]:
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    return [str(row.get("content", "")) for row in rows if row.get("role") == role]


def _reply(messages: Any) -> list[Any]:
    """What the last answer of a conversation holds."""
    return [value for _, value in _values((_messages(messages, "assistant") or [""])[-1])]


def _question(messages: Any) -> _Asked | None:
    """What KeyframeFace's question says, if it is one."""
    asked = (_messages(messages, "user") or [""])[-1]
    texts = {_number(f"keyframe {word}"): text.strip()[:MAX_TEXT] for word, text in _ASKED.findall(asked)}
    if not texts:
        return None
    background, emotion = (re.search(rf"^{name}: *(.*)$", asked, re.M) for name in ("Background", "Emotion"))
    return _Asked(texts, background[1].strip() if background else "", emotion[1].strip() if emotion else "")


def _begins(group: list[_Found], found: _Found) -> bool:
    """Whether a keyframe is the first of another performance than that of `group`."""
    last = group[-1]
    return bool(found.number and found.number <= last.number) or found.asked != last.asked


def _performance(group: list[_Found], gap: float) -> Performance:
    keyframes: list[Keyframe] = []
    for found in group:
        time = found.time
        if time is None:
            time = keyframes[-1].time + gap if keyframes else 0.0
        keyframes.append(Keyframe(time, found.text, found.pose))
    asked = group[0].asked
    return Performance(Brief("", asked.background[:MAX_TEXT], asked.emotion[:MAX_TEXT]), tuple(keyframes))
