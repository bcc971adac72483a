# SPDX-License-Identifier: GPL-3.0-or-later
"""The marks in a line of a script: speakers, quotes, (directions), [brackets], times and pauses, as tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ...performance.errors import FacescriptError
from ...performance.model import MAX_SECONDS
from .text import DATA, has_content, squeeze, words_of

Kind = Literal["text", "quote", "direction", "time", "pause"]

# Nobody acts a pause of more than ten minutes; a larger number is a slip.
MAX_PAUSE = 600.0

_OPENERS = {"(": ")", "[": "]", "（": "）", "【": "】"}
_CLOSERS = frozenset(_OPENERS.values())
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "‘": "’", "'": "'"}
_SINGLE = "'’"
_SPOKEN_END = ".,!?…—–-。！？、，*"

_CAPS_NAME = r"[A-Z][A-Z0-9.'’\-]*+(?: [A-Z0-9][A-Z0-9.'’\-]*+){0,2}"
_LABEL_END = r"(?P<aside>\s?\([^()]{0,60}\))?\s?[:：](?=\s|$)"
_CAPS_LABEL = re.compile(rf"(?:(?<=\s)|^)(?P<name>{_CAPS_NAME}){_LABEL_END}")
_LINE_LABEL = re.compile(rf"^(?P<name>[^\W\d_][\w.'’\-]{{0,30}}(?: [\w.'’\-]{{1,30}}){{0,2}}){_LABEL_END}")

_UNIT = r"(?P<unit>ms|milliseconds?|s|secs?|seconds?)"
_NUMBER = r"\d{1,12}(?:[.,]\d{1,12})?|[.,]\d{1,12}"
_SECONDS = re.compile(rf"(?P<number>{_NUMBER})\s?{_UNIT}?", re.I)
_CLOCK = re.compile(r"(?:(?P<h>\d{1,6}):)?(?P<m>\d{1,6}):(?P<s>\d{1,2}(?:[.,]\d{1,6})?)\s?s?", re.I)
# What the user meant as a time, right or wrong: a number with a unit, or with the marks of a clock.
_TIME_LIKE = re.compile(rf"[+\-−]?[\d.,:][\d.,:eE+\-−]*+\s?{_UNIT}|[+\-−]?\d*+[.,:][\d.,:]*+|[+\-−]\d++", re.I)
_PAUSE = re.compile(r"(?:pause|wait|hold|beat|silence)(?:\s?[:=,]?\s?(?P<amount>[+\-−]?[\d.,:].*))?", re.I)


@dataclass(frozen=True)
class Token:
    """A piece of a line: its kind, its text, and its seconds if it is a time or a pause."""

    kind: Kind
    text: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Turn:
    """A part of a line that one speaker has: who (may be empty), the aside at the name, and the rest."""

    speaker: str
    aside: str
    text: str


@cache
def pauses() -> dict[str, float]:
    """What in brackets is a pause as a whole (`beat`, `long pause`), with its seconds."""
    return dict(table("pause"))


@cache
def table(section: str, file: str = "act_times.txt") -> tuple[tuple[str, float], ...]:
    """The rows (`text`, number) of one `[section]` of a number table in `data`."""
    rows: list[tuple[str, float]] = []
    inside = False
    for line in (DATA / file).read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            inside = line == f"[{section}]"
        elif inside and line:
            text, number = line.rsplit(None, 1)
            rows.append((text, float(number)))
    return tuple(rows)


def turns(text: str) -> list[Turn]:
    """Cut a line at its speakers' names (`ANNA: Hello. BEN (off): No.`, `Anna: Hello.`)."""
    first = _LINE_LABEL.match(text)
    marks = [m for m in _CAPS_LABEL.finditer(text) if _is_caps_name(m.group("name"))]
    if first and (not marks or marks[0].start() > 0) and _is_name(first.group("name")):
        marks.insert(0, first)
    if not marks:
        return [Turn("", "", text)]
    found = [Turn("", "", text[: marks[0].start()])] if text[: marks[0].start()].strip() else []
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        end = following.start() if following else len(text)
        aside = (mark.group("aside") or "").strip(" ()")
        found.append(Turn(mark.group("name"), aside, text[mark.end() : end].strip()))
    return found


def _is_caps_name(name: str) -> bool:
    return sum(char.isalpha() for char in name) >= 2 and not name.startswith("AU") and _is_name(name)


def _is_name(name: str) -> bool:
    words = name.split()
    lower = name.lower().replace("’", "'")
    if is_directing(name) or is_describing(name):
        return True
    if lower in words_of("not_names") or words[0].lower() in words_of("not_names") or words[0].isdigit():
        return False
    if any(word.endswith(".") and word[:-1].lower() not in words_of("abbreviations") for word in words):
        return False
    # Scripts without capitals (Arabic, Chinese, Hindi) name one word before the colon.
    capitals = all(word[0].isupper() or word[0].isdigit() for word in words)
    return capitals or (len(words) == 1 and not name.isascii() and not any(c.islower() or c.isupper() for c in name))


def is_directing(name: str) -> bool:
    """Whether a label announces a direction (`Director:`) rather than somebody who speaks."""
    return name.lower().replace("’", "'").split()[0] in words_of("directors")


def is_describing(name: str) -> bool:
    """Whether a label announces a description of the face (`Keyframe One:`)."""
    return name.lower().startswith("keyframe")


def tokens(text: str, line: int) -> list[Token]:
    """The marks and the plain text of a line, in order; brackets and quotes without a partner are plain.

    Raises FacescriptError (`bad_time`) that names `line` for a time or pause that is not one.
    """
    pairs = _bracket_pairs(text)
    quotes = _quote_pairs(text, pairs)
    found: list[Token] = []
    position, plain_from = 0, 0
    kind: Kind = "text"
    ends: set[int] = set()
    while position < len(text):
        width = 1
        if position in pairs:
            _add_text(found, kind, text[plain_from:position])
            inner = text[position + 1 : pairs[position]]
            found += _read_bracket(squeeze(inner), text[position], line)
            width = pairs[position] + 1 - position
        elif position in quotes:
            _add_text(found, kind, text[plain_from:position])
            kind = "quote"
            ends.add(quotes[position])
        elif position in ends:
            _add_text(found, kind, text[plain_from:position])
            kind = "text"
        else:
            position += 1
            continue
        position += width
        plain_from = position
    _add_text(found, kind, text[plain_from:])
    return found


def _add_text(found: list[Token], kind: Kind, text: str) -> None:
    if text.strip():
        found.append(Token(kind, text.strip()))


def _bracket_pairs(text: str) -> dict[int, int]:
    """Opening to closing position of every outermost balanced bracket, and of *actions* between asterisks."""
    stack: list[int] = []
    open_of = dict.fromkeys(_CLOSERS, 0)
    pairs: dict[int, int] = {}
    star = -1
    for position, char in enumerate(text):
        if char in _OPENERS:
            stack.append(position)
            open_of[_OPENERS[char]] += 1
        elif char in _CLOSERS and open_of[char]:
            while True:
                opener = stack.pop()
                open_of[_OPENERS[text[opener]]] -= 1
                if _OPENERS[text[opener]] == char:
                    break
            pairs[opener] = position
        elif char == "*":
            if star >= 0 and _is_starred_action(text, star, position):
                pairs[star] = position
                star = -1
            else:
                star = position
    return _outermost(pairs)


def _outermost(pairs: dict[int, int]) -> dict[int, int]:
    kept: dict[int, int] = {}
    end = -1
    for opener in sorted(pairs):
        if opener > end:
            kept[opener] = end = pairs[opener]
    return kept


def _is_starred_action(text: str, start: int, end: int) -> bool:
    """Whether *this* is done (*coughs*) rather than stressed (I'm *fine*): it stands outside of a sentence."""
    if not 1 < end - start <= 80:
        return False
    inner = text[start + 1 : end]
    before = text[max(0, start - 8) : start].rstrip()
    return inner == inner.strip() and inner[0].islower() and (not before or before[-1] in _SPOKEN_END + '"”)]')


def _quote_pairs(text: str, brackets: dict[int, int]) -> dict[int, int]:
    """Opening to closing position of quotes in which somebody speaks, not of a "so-called" word."""
    pairs: dict[int, int] = {}
    opened, closer = -1, ""
    skip_to = 0
    for position, char in enumerate(text):
        if position < skip_to:
            continue
        if position in brackets:
            skip_to = brackets[position] + 1
        elif opened >= 0 and char == closer and _closes(text, position):
            if _is_spoken(text, opened, position):
                pairs[opened] = position
            opened = -1
        elif opened < 0 and char in _QUOTES and _opens(text, position):
            opened, closer = position, _QUOTES[char]
    return pairs


def _opens(text: str, position: int) -> bool:
    if text[position] != "'" and text[position] != "‘":
        return True
    before = text[position - 1] if position else " "
    after = text[position + 1 : position + 2]
    return (before.isspace() or before in "([—–:") and bool(after) and not after.isspace()


def _closes(text: str, position: int) -> bool:
    if text[position] not in _SINGLE:
        return True
    # An apostrophe is not preceded by a mark and followed by a blank.
    after = text[position + 1 : position + 2]
    return text[position - 1] in _SPOKEN_END and not after.isalnum()


def _is_spoken(text: str, opened: int, closed: int) -> bool:
    if text[opened] in "「『":
        return True
    before = text[max(0, opened - 4) : opened].rstrip()
    last = text[max(opened + 1, closed - 4) : closed].rstrip()[-1:]
    alone = not text[:opened].strip(" .") and not text[closed + 1 :].strip(" .,!?")
    return last in tuple(_SPOKEN_END) or alone or before[-1:] in (",", ":", "，", "：")


def _read_bracket(inner: str, opener: str, line: int) -> list[Token]:
    low = inner.lower()
    if low in pauses():
        return [Token("pause", inner, pauses()[low])]
    if opener == "[" or opener == "【":
        if _TIME_LIKE.fullmatch(inner[:60]):
            return [Token("time", inner, seconds(inner, line, MAX_SECONDS))]
        if (match := _PAUSE.fullmatch(inner[:60])) and match.group("amount"):
            return [Token("pause", inner, seconds(match.group("amount"), line, MAX_PAUSE))]
    return [Token("direction", inner)] if has_content(inner) and not inner.isdigit() else []


def seconds(text: str, line: int, most: float) -> float:
    """Read `1.2s`, `300 ms`, `0:01.5`, `1:02:03` or `1.2` as seconds in [0, most].

    Raises FacescriptError (`bad_time`) that names `line` for anything else.
    """
    value = -1.0
    if match := _SECONDS.fullmatch(text):
        value = float(match.group("number").replace(",", "."))
        if (match.group("unit") or "").lower().startswith("m"):
            value /= 1000.0
    elif match := _CLOCK.fullmatch(text):
        rest = float(match.group("s").replace(",", "."))
        minutes = int(match.group("m"))
        if rest < 60.0 and (minutes < 60 or not match.group("h")):
            value = int(match.group("h") or 0) * 3600.0 + minutes * 60.0 + rest
    if not 0.0 <= value <= most:
        raise FacescriptError(
            "bad_time",
            f"Line {line}: {text[:30]!r} is not a time between 0 and {most:.0f} seconds.",
            "Write times as [1.2s], [300ms] or [0:01.5], and pauses as [pause 0.5].",
            line=line,
        )
    return value
