# SPDX-License-Identifier: GPL-3.0-or-later
"""A script line by line: when each line plays, and how a part of it is performed by itself."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ...performance import FacescriptError
from . import text as script_text
from .script import read_script
from .timing import duration, schedule

# On a line of its own at the end it is nobody's pause, and makes a script of one line one of several: those are
# performed line by line, where a single one is cut into moments as prose is.
_ALSO = "\n[pause 0]"


@dataclass(frozen=True)
class ScriptLine:
    """A line that is performed: its 1-based `number`, its `start` and its length in `seconds`, and its words."""

    number: int
    start: float
    seconds: float
    words: str

    @property
    def end(self) -> float:
        """When the next line starts, in seconds."""
        return self.start + self.seconds


@dataclass(frozen=True)
class Part:
    """Some lines as a script of their own: `inner` are times in it, rising, and `outer` the same moments' times in the
    whole script; it ends at `end`, or (None) with the script."""

    script: str
    inner: tuple[float, ...]
    outer: tuple[float, ...]
    end: float | None

    def time(self, seconds: float) -> float:
        """When something of the part happens in the whole script."""
        return float(np.interp(seconds, self.inner, self.outer))


def read_lines(script: str) -> tuple[ScriptLine, ...]:
    """The lines of a script that are performed, in order. Raises FacescriptError as `read_script` and `schedule` do."""
    moments = read_script(script)
    times = schedule(moments)
    rows = []
    for number, group in groupby(zip(times, moments, strict=True), key=lambda pair: pair[1].line):
        pairs = list(group)
        rows.append((number, [moment for _, moment in pairs], pairs[0][0]))
    ends = [start for _, _, start in rows[1:]] + [times[-1] + duration(moments[-1])]
    return tuple(
        ScriptLine(number, start, end - start, " ".join(moment.words for moment in group))
        for (number, group, start), end in zip(rows, ends, strict=True)
    )


def part(script: str, number: int, alone: bool) -> Part:
    """A line, or that line and all after it. Raises FacescriptError (`no_line`) if nothing is performed on it."""
    rows = read_lines(script)
    place = next((i for i, row in enumerate(rows) if row.number == number), -1)
    if place < 0:
        raise FacescriptError("no_line", f"Nothing is performed on line {number}.", "Choose another line.", line=number)
    whole = script_text.clean(script).split("\n")
    # With the name above it, if there is one.
    first = rows[place - 1].number if place else 0
    text = "\n".join(whole[first : number if alone else None])
    text += _ALSO if len(whole) > 1 else ""
    inner = read_lines(text)
    mine = rows[place : place + 1] if alone else rows[place:]
    if len(inner) == len(mine):
        old, new = [row.start for row in inner], [row.start for row in mine]
    else:
        old, new = [inner[0].start], [mine[0].start]
    # A line that needs less time than it has is not drawn out: what is left is a silence.
    last = new[-1] + min(mine[-1].end - new[-1], inner[-1].end - old[-1])
    end = mine[-1].end if alone and place + 1 < len(rows) else None
    return Part(text, (*old, inner[-1].end), (*new, last), end)
