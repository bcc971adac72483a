# SPDX-License-Identifier: GPL-3.0-or-later
"""From a brief to a performance: plan the beats, then pose them, streaming both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ...performance import Beat, Brief, FacescriptError, Keyframe, Performance
from ..beats import beat_counts, told_of_face
from ..script import read_script
from ..timing import SHORTEST, duration, schedule
from .asks import Ask
from .backends import Backend

Check = Callable[[], None]


def plan(brief: Brief, backend: Backend, seed: int, check: Check = lambda: None) -> Iterator[tuple[int, int, Beat]]:
    """Yield (index, count, beat) as descriptions are finished, in any order.

    Beats that the brief already has, and moments that the script describes itself, are taken as they stand.
    """
    if brief.beats:
        for index, beat in enumerate(brief.beats):
            yield index, len(brief.beats), beat
        return
    moments = read_script(brief.script)
    # In whole milliseconds, as files and messages hold them.
    starts = [round(time, 3) for time in schedule(moments)]
    stops = [*starts[1:], starts[-1] + duration(moments[-1])]
    ask = [index for index, moment in enumerate(moments) if not moment.described]
    parts = beat_counts(moments)
    beats: list[Beat] = []
    asks: dict[int, Ask] = {}
    for index, (moment, start, stop) in enumerate(zip(moments, starts, stops, strict=True)):
        if moment.described:
            beats.append(Beat(start, moment.direction))
            continue
        count = min(parts[index], max(1, int((stop - start) / SHORTEST)))
        told = told_of_face(moment, count)
        for part in range(count):
            asks[len(beats)] = Ask(moment.words, ask.index(index), len(ask), part, count)
            beats.append(Beat(round(start + part * (stop - start) / count, 3), told[part]))
    for index, beat in enumerate(beats):
        if index not in asks:
            yield index, len(beats), beat
    places = list(asks)
    for number, text in backend.describe(brief, list(asks.values()), seed, check):
        beat = beats[places[number]]
        yield places[number], len(beats), replace(beat, text=_joined(beat.text, text))


def _joined(told: str, text: str) -> str:
    """The user's own words of the face, and what the planner adds to them."""
    if not told:
        return text
    return f"{told[0].upper()}{told[1:].rstrip('.,;: ')}. {text}"


def generate(
    brief: Brief,
    backend: Backend,
    seed: int,
    check: Check = lambda: None,
    on_beat: Callable[[int, int, Beat], None] = lambda index, count, beat: None,
    on_keyframe: Callable[[int, int, Keyframe], None] = lambda index, count, keyframe: None,
) -> Performance:
    """The whole way. Deterministic in the brief, the backend and the seed.

    `check` is called between steps and may raise to cancel; `on_beat` and `on_keyframe` are told of each beat and
    each keyframe as it is made.
    """
    found: dict[int, Beat] = {}
    for index, count, beat in plan(brief, backend, seed, check):
        found[index] = beat
        on_beat(index, count, beat)
    beats = tuple(found[index] for index in sorted(found))
    if not beats:
        raise FacescriptError("empty_script", "There is nothing to perform.", "Type a script first.")
    # Order and spacing are checked before the long part of the work.
    brief = replace(brief, beats=beats)
    keyframes = []
    for index, pose in enumerate(backend.pose(brief, [beat.text for beat in beats], check)):
        keyframes.append(Keyframe(beats[index].time, beats[index].text, pose))
        on_keyframe(index, len(beats), keyframes[-1])
    return Performance(replace(brief, beats=()), tuple(keyframes))
