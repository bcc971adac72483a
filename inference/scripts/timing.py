# SPDX-License-Identifier: GPL-3.0-or-later
"""When each moment of a script is played, in seconds, from its words, its actions and the user's own times."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import zip_longest

from ...performance.errors import FacescriptError
from ...performance.model import MAX_SECONDS
from .marks import table
from .script import Moment
from .text import lower_words, word_count

# Conversational English runs at 150 to 190 words a minute.
SECONDS_A_WORD = 0.35
# What a mark of punctuation adds to a line: a breath, less than between speakers.
_MARKS = {",": 0.06, ";": 0.12, ":": 0.12, "—": 0.12, ".": 0.15, "!": 0.15, "?": 0.15, "…": 0.3}
_MOST_MARKS = 0.6
# An action that no table row knows: the longer it is told, the longer it plays.
_ACTION = (0.8, 0.1)
_ACTION_RANGE = (0.8, 2.4)
# A described face without a time: the median gap between the keyframes of the project's corpus.
DESCRIBED = 1.5
# Nothing reads in less: a fifth of a second is five frames of a film.
LEAST = 0.25
MOST_ACTION = 4.0
# Beats of one moment are at least this far apart: the corpus's flashes and blinks are 0.2 to 0.5 s.
SHORTEST = 0.4


def schedule(moments: Sequence[Moment]) -> tuple[float, ...]:
    """Start times in seconds, one a moment, strictly rising; the first is 0 unless the user gave it another.

    Times that the user gave are kept exactly; moments between two of them are spread there in proportion to
    their own lengths. Raises FacescriptError (`bad_time`) if given times do not rise or leave no room, or if
    the performance is longer than MAX_SECONDS.
    """
    if not moments:
        return ()
    natural = _natural(moments)
    pins = [(index, moment.at) for index, moment in enumerate(moments) if moment.at is not None]
    if not pins or pins[0][0] > 0:
        pins.insert(0, (0, 0.0))
    times: list[float] = []
    for (index, at), following in zip(pins, [*pins[1:], None], strict=True):
        end = following[0] if following else len(moments)
        pace = 1.0
        if following:
            pace = (following[1] - at) / (natural[end] - natural[index])
            if not pace > 0.0:
                raise _no_room(moments[end])
        times += [at] + [round(at + pace * (natural[i] - natural[index]), 4) for i in range(index + 1, end)]
    for one, other, moment in zip(times, times[1:], moments[1:], strict=False):
        if other <= one:
            raise _no_room(moment)
    if times[-1] > MAX_SECONDS:
        raise FacescriptError(
            "bad_time", f"The script lasts {times[-1]:,.0f} seconds.", f"The limit is {MAX_SECONDS:,.0f}: split it."
        )
    return tuple(times)


def duration(moment: Moment) -> float:
    """How long a moment plays, in seconds, without the pause before it; at least LEAST."""
    if moment.described:
        return DESCRIBED
    said = speech_seconds(moment.speech)
    if not moment.direction:
        return max(LEAST, said)
    acted, known = action_seconds(moment.direction)
    if not moment.speech:
        return max(LEAST, acted)
    # A known act (a sigh) comes before the words; anything else (smiling, off) goes on under them.
    return max(LEAST, said + (0.6 * acted if known else 0.0))


def speech_seconds(text: str) -> float:
    """How long words are spoken, in seconds: SECONDS_A_WORD each, and a little for punctuation."""
    # The mark at the end is the silence before what follows, the same as any other.
    marks = sum(length * text.count(mark) for mark, length in _MARKS.items())
    return word_count(text) * SECONDS_A_WORD + min(_MOST_MARKS, marks)


def action_seconds(text: str) -> tuple[float, bool]:
    """How long an action plays, in seconds, and whether the table knows it; adverbs stretch or shorten it."""
    total, pace, acts = 0.0, 1.0, set[str]()
    for word in lower_words(text):
        if (act := _row("act", word)) and act[0] not in acts:
            acts.add(act[0])
            total += act[1]
        if factor := _row("pace", word):
            pace *= factor[1]
    told = min(_ACTION_RANGE[1], max(_ACTION_RANGE[0], _ACTION[0] + _ACTION[1] * word_count(text)))
    if not acts or word_count(text) > 6.0:
        # In a longer sentence the table's words are a part of what goes on.
        total = max(total, told)
    return min(MOST_ACTION, total * min(2.0, max(0.5, pace))), bool(acts)


def _row(section: str, word: str) -> tuple[str, float] | None:
    """The row of the longest stem that the word starts with."""
    rows = _stems(section)
    for length in range(len(word), 2, -1):
        if word[:length] in rows:
            return word[:length], rows[word[:length]]
    return None


@cache
def _stems(section: str) -> dict[str, float]:
    return dict(table(section))


def _natural(moments: Sequence[Moment]) -> list[float]:
    """Start times at the moments' own pace, from 0; one more for the end."""
    times = [0.0]
    for moment, following in zip_longest(moments, moments[1:]):
        times.append(times[-1] + duration(moment) + (following.pause if following else 0.0))
    return times


def _no_room(moment: Moment) -> FacescriptError:
    return FacescriptError(
        "bad_time",
        f"Line {moment.line}: there is no time left between the line before and this one.",
        "Put the lines in order of time, further apart.",
        line=moment.line,
    )
