# SPDX-License-Identifier: GPL-3.0-or-later
"""From a brief to a performance: plan the beats, then pose them, streaming both; and parts of one made again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ...performance import Beat, Brief, FacescriptError, Keyframe, Performance, Pose
from ..scripts.beats import beat_counts, told_of_face
from ..scripts.script import read_script
from ..scripts.text import clean, has_content
from ..scripts.timing import SHORTEST, duration, schedule
from .asks import Ask, Takes
from .backends import Backend

Check = Callable[[], None]
OnBeat = Callable[[int, int, Beat], None]
OnKeyframe = Callable[[int, int, Keyframe], None]


def _ignore(index: int, count: int, made: Beat) -> None:
    pass


@dataclass(frozen=True)
class Planned:
    """A beat of a script before its description is made; its text is what the user says of the face then.

    `ask` is what a planner is asked for, None where the user described the face.
    """

    beat: Beat
    ask: Ask | None


def planned(script: str) -> list[Planned]:
    """The beats of a script, at least one, at the times of its own schedule. Raises what `read_script` raises."""
    moments = read_script(script)
    # In whole milliseconds, as files and messages hold them.
    starts = [round(time, 3) for time in schedule(moments)]
    stops = [*starts[1:], starts[-1] + duration(moments[-1])]
    rows: list[Planned] = []
    for moment, parts, start, stop in zip(moments, beat_counts(moments), starts, stops, strict=True):
        if moment.described:
            rows.append(Planned(Beat(start, moment.direction), None))
            continue
        count = min(parts, max(1, int((stop - start) / SHORTEST)))
        for part, told in enumerate(told_of_face(moment, count)):
            time = round(start + part * (stop - start) / count, 3)
            rows.append(Planned(Beat(time, told), Ask(moment.words, part, count, told)))
    return rows


def plan(brief: Brief, backend: Backend, seed: int, check: Check = lambda: None) -> Iterator[tuple[int, int, Beat]]:
    """Yield (index, count, beat) as descriptions are finished, in any order.

    Beats that the brief already has, and moments that the script describes itself, are taken as they stand.
    """
    if brief.beats:
        for index, beat in enumerate(brief.beats):
            yield index, len(brief.beats), beat
        return
    rows = planned(brief.script)
    asks = {index: row.ask for index, row in enumerate(rows) if row.ask}
    for index, row in enumerate(rows):
        if index not in asks:
            yield index, len(rows), row.beat
    places = list(asks)
    for number, text in backend.describe(brief, list(asks.values()), seed, check):
        beat = rows[places[number]].beat
        yield places[number], len(rows), replace(beat, text=_opening(beat.text) + text)


def _opening(told: str) -> str:
    """The user's own words of the face, before what the planner adds to them."""
    if not told:
        return ""
    return f"{told[0].upper()}{told[1:].rstrip('.,;: ')}. "


def generate(
    brief: Brief,
    backend: Backend,
    seed: int,
    check: Check = lambda: None,
    on_beat: OnBeat = _ignore,
    on_keyframe: OnKeyframe = _ignore,
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
    keyframes = _keyframes(beats, backend.pose(brief, [beat.text for beat in beats], check), on_keyframe)
    return Performance(replace(brief, beats=()), tuple(keyframes))


def pose_some(
    brief: Brief, at: Sequence[int], backend: Backend, check: Check = lambda: None, on_keyframe: OnKeyframe = _ignore
) -> list[Keyframe]:
    """The keyframes of the brief's beats at places `at`, each read among its neighbours, in the order of `at`.

    What the model reads is as long whatever else the performance holds, and the pose near that of the whole.
    """
    poses = backend.pose_at(brief, [beat.text for beat in brief.beats], at, check)
    return _keyframes([brief.beats[place] for place in at], poses, on_keyframe)


def pose_each(
    brief: Brief, backend: Backend, check: Check = lambda: None, on_keyframe: OnKeyframe = _ignore
) -> list[Keyframe]:
    """The keyframes of the brief's beats, each read as if there were no other."""
    poses = (pose for beat in brief.beats for pose in backend.pose(brief, [beat.text], check))
    return _keyframes(brief.beats, poses, on_keyframe)


def alternatives(
    brief: Brief,
    place: int,
    count: int,
    backend: Backend,
    seed: int,
    check: Check = lambda: None,
    on_beat: OnBeat = _ignore,
    on_keyframe: OnKeyframe = _ignore,
) -> list[Keyframe]:
    """`count` other takes of the brief's beat at `place`, at its time; no description is one of the brief's.

    The script's moment that is nearest in time says what to describe: beats may have been moved, or put in by hand. A
    beat whose face the user described, or one without a script, gets descriptions of faces like its own. Poses are read
    among the beat's neighbours. Deterministic in the arguments.
    """
    here = brief.beats[place]
    taken = {beat.text for beat in brief.beats}
    asks, number, told = _moment(brief.script, here.time)
    if asks:
        opening = _opening(told)
        taken |= {text.removeprefix(opening) for text in taken}
        found = [opening + text for text in backend.others(brief, asks, number, Takes(count, seed, taken), check)]
    else:
        found = backend.near(brief, here.text, Takes(count, seed, taken), check)
    beats = [replace(here, text=text) for text in found]
    if not beats:
        raise FacescriptError("no_alternatives", "The model found no other description.", "Write one by hand.")
    for index, beat in enumerate(beats):
        on_beat(index, len(beats), beat)
    texts = [beat.text for beat in brief.beats]

    def poses() -> Iterator[Pose]:
        for beat in beats:
            yield from backend.pose_at(brief, [*texts[:place], beat.text, *texts[place + 1 :]], [place], check)

    return _keyframes(beats, poses(), on_keyframe)


def _moment(script: str, time: float) -> tuple[list[Ask], int, str]:
    """What a planner was asked for a script, which of it is nearest in time, and the user's words of the face then.

    Nothing is asked where there is no script, or where the user described the face.
    """
    rows = planned(script) if has_content(clean(script)) else []
    nearest = min(rows, key=lambda row: abs(row.beat.time - time), default=None)
    if nearest is None or nearest.ask is None:
        return [], 0, ""
    asked = [row for row in rows if row.ask]
    number = next(number for number, row in enumerate(asked) if row is nearest)
    return [row.ask for row in asked if row.ask], number, nearest.beat.text


def _keyframes(beats: Sequence[Beat], poses: Iterable[Pose], on_keyframe: OnKeyframe) -> list[Keyframe]:
    made = []
    for index, (beat, pose) in enumerate(zip(beats, poses, strict=True)):
        made.append(Keyframe(beat.time, beat.text, pose))
        on_keyframe(index, len(beats), made[-1])
    return made
