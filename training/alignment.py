# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words of its script each keyframe of a performance plays: the corpus gives both, but not their relation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..inference.scripts.script import read_script
from ..inference.scripts.timing import duration, schedule
from ..performance import FacescriptError, Performance


@dataclass(frozen=True)
class Played:
    """A moment's words, and the numbers of the keyframes that play it: at least one."""

    words: str
    keyframes: tuple[int, ...]


def align(performance: Performance) -> list[Played]:
    """Moments and keyframes in order, each moment with the keyframes that fall into its share of the time.

    The planner's script reader cuts the moments. Where it cuts more than there are keyframes, neighbours are joined.
    """
    try:
        moments = read_script(performance.brief.script)
    except FacescriptError:
        return [Played(performance.brief.script, tuple(range(len(performance.keyframes))))]
    starts = np.array(schedule(moments))
    end = float(starts[-1]) + duration(moments[-1])
    times = performance.times
    last = float(times[-1]) + (float(times[-1]) / (len(times) - 1) if len(times) > 1 else 1.0)
    # (moments, keyframes): how far outside of a moment's share a keyframe is, both as shares of the whole.
    begin, stop = starts / end, np.append(starts[1:], end) / end
    at = times / last
    cost = np.maximum(0.0, np.maximum(begin[:, None] - at, at - stop[:, None])) + 0.1 * np.abs(at - begin[:, None])
    if len(moments) <= len(times):
        groups = _cut(cost)
        return [Played(m.words, tuple(group)) for m, group in zip(moments, groups, strict=True)]
    until = np.append(at[1:], 1.0)[:, None]
    held = np.maximum(0.0, np.maximum(at[:, None] - begin, begin - until)) + 0.1 * np.abs(begin - at[:, None])
    groups = _cut(held)
    return [Played(" ".join(moments[i].words for i in group), (k,)) for k, group in enumerate(groups)]


def _cut(cost: np.ndarray) -> list[list[int]]:
    """Cut columns into as many runs as there are rows, none empty, at the least cost."""
    rows, columns = cost.shape
    best = np.full((rows, columns), np.inf)
    stay = np.zeros((rows, columns), bool)
    best[0] = np.cumsum(cost[0])
    stay[0] = True
    for row in range(1, rows):
        for column in range(row, columns):
            here, before = best[row, column - 1], best[row - 1, column - 1]
            stay[row, column] = here <= before
            best[row, column] = min(here, before) + cost[row, column]
    groups: list[list[int]] = [[] for _ in range(rows)]
    row = rows - 1
    for column in range(columns - 1, -1, -1):
        groups[row].insert(0, column)
        if column and not stay[row, column]:
            row -= 1
    return groups
