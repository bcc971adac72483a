# SPDX-License-Identifier: GPL-3.0-or-later
"""How many beats each moment of a script takes, and what its own words say of the face at each of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .script import Moment
from .text import pieces, tells_of_face
from .timing import SHORTEST, duration

# Beats of one moment.
MOST = 4
# A bare prompt ("smirk") is one gesture and what is left of it.
_BARE_WORDS, _BARE_BEATS = 4, 2
# Least squares over the corpus's training performances: keyframes = the first + the others times the logarithms of the
# script's seconds, moments and words (R2 0.49).
_FIT = (1.38, 0.18, 0.21, 0.70)


def beat_counts(moments: Sequence[Moment]) -> list[int]:
    """Beats of each moment, from 1 to MOST: as many in all as the corpus gives scripts of this length.

    One each where the user wrote one a line. Those that a moment takes beyond its first go to the longest moments, and
    none is shorter than SHORTEST seconds.
    """
    parts = [1] * len(moments)
    if len({moment.line for moment in moments}) > 1:
        return parts
    seconds = [duration(moment) for moment in moments]
    words = sum(len(moment.words.split()) for moment in moments)
    if not words:
        return parts
    first, *slopes = _FIT
    sizes = (sum(seconds), len(moments), words)
    wanted = round(first + sum(slope * math.log(size) for slope, size in zip(slopes, sizes, strict=True)))
    if len(moments) == 1 and words <= _BARE_WORDS:
        wanted = min(wanted, _BARE_BEATS)
    for _ in range(wanted - len(moments)):
        free = [
            index
            for index, moment in enumerate(moments)
            if not moment.described and parts[index] < MOST and seconds[index] / (parts[index] + 1) >= SHORTEST
        ]
        if not free:
            break
        longest = max(free, key=lambda index: seconds[index] / parts[index])
        parts[longest] += 1
    return parts


def told_of_face(moment: Moment, parts: int) -> list[str]:
    """For each of a moment's beats, what its direction says of the face then; "" where it says nothing.

    A direction with as many clauses as beats is shared out, so that a smile which dies is there before.
    """
    if not tells_of_face(moment.direction):
        return [""] * parts
    found = pieces(moment.direction)
    if len(found) < parts:
        return [moment.direction] * parts
    shares = [" ".join(found[i * len(found) // parts : (i + 1) * len(found) // parts]) for i in range(parts)]
    return [share if tells_of_face(share) else moment.direction for share in shares]
