# SPDX-License-Identifier: GPL-3.0-or-later
"""The beats of a performance as the animator edits them: a tuple of immutable beats, and pure functions on it.

Every function takes and returns beats in order of their frames, each on a frame of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from .channels import REGIONS
from .errors import FacescriptError
from .model import MAX_KEYFRAMES, Brief, Keyframe, Performance
from .pose import NEUTRAL, Pose
from .shaping import NEUTRAL_STRENGTHS, STRONGEST, blended, scaled


@dataclass(frozen=True)
class ShapedBeat:
    """A beat on the timeline.

    `frame` is where it is reached; `text` what the face visibly does; `pose` what the model or the animator made;
    `strength` and `regions` (one for each of REGIONS), each in [0, STRONGEST], scale it. A `locked` beat is not
    generated anew; `by_hand` says that its pose is the animator's. `posed` is the text that the pose was made of:
    if it is another, the description was edited since. `key` is the beat's number, its own as long as it lives;
    0 is given to new beats.
    """

    frame: int
    text: str
    pose: Pose = NEUTRAL
    strength: float = 1.0
    regions: tuple[float, ...] = NEUTRAL_STRENGTHS
    locked: bool = False
    by_hand: bool = False
    posed: str = ""
    key: int = 0

    def __post_init__(self) -> None:
        if len(self.regions) != len(REGIONS):
            raise FacescriptError("bad_pose", f"A beat has {len(REGIONS)} regions, not {len(self.regions)}.")
        if not all(0.0 <= s <= STRONGEST for s in (self.strength, *self.regions)):
            raise FacescriptError("bad_pose", f"A beat's strength is outside [0, {STRONGEST:g}].")

    @cached_property
    def shown(self) -> Pose:
        """The pose as the face shows it."""
        return scaled(self.pose, self.strength, self.regions)

    @property
    def edited(self) -> bool:
        """Whether the description says something else than the pose was made of."""
        return self.text != self.posed


Beats = tuple[ShapedBeat, ...]


def from_performance(performance: Performance, frames: Sequence[int]) -> Beats:
    """The beats of a performance at frames."""
    return tuple(
        ShapedBeat(int(frame), k.text, k.pose, posed=k.text)
        for k, frame in zip(performance.keyframes, frames, strict=True)
    )


def to_performance(beats: Beats, brief: Brief, fps: float) -> Performance:
    """What the beats show, the first one at 0 seconds. Raises FacescriptError (`no_keyframes`) if there is none."""
    return Performance(brief, tuple(Keyframe((b.frame - beats[0].frame) / fps, b.text, b.shown) for b in beats))


def numbered(beats: Beats, taken: Collection[int] = ()) -> Beats:
    """The beats, each with a number of its own: those that have one keep it, others get none of `taken`."""
    used = {b.key for b in beats} | set(taken)
    fresh = (n for n in itertools.count(1) if n not in used)
    seen: set[int] = set()
    result = []
    for beat in beats:
        if beat.key == 0 or beat.key in seen:
            beat = replace(beat, key=next(fresh))
        seen.add(beat.key)
        result.append(beat)
    return tuple(result)


def set_pose(beat: ShapedBeat, pose: Pose, **changes: object) -> ShapedBeat:
    """The beat with another pose, at its plain strength."""
    return replace(beat, pose=pose, strength=1.0, regions=NEUTRAL_STRENGTHS, **changes)  # type: ignore[arg-type]


def insert(beats: Beats, frame: int, beat: ShapedBeat) -> Beats:
    """The beats with one more at `frame`, or at the next free frame after it."""
    taken = {b.frame for b in beats}
    while frame in taken:
        frame += 1
    return _checked(sorted((*beats, replace(beat, frame=frame)), key=lambda b: b.frame))


def delete(beats: Beats, index: int) -> Beats:
    """The beats without one. Raises FacescriptError (`last_beat`) for the only one."""
    if len(beats) == 1:
        raise FacescriptError("last_beat", "This is the only beat.", "Clear removes the whole performance.")
    return beats[:index] + beats[index + 1 :]


def duplicate(beats: Beats, index: int, gap: int) -> Beats:
    """The beats with a copy of one, `gap` frames later at most: half-way to the next one if that is nearer."""
    beat = beats[index]
    frame = _between(beats, index, gap)
    return _checked([*beats[: index + 1], replace(beat, frame=frame, key=0), *beats[index + 1 :]])


def split(beats: Beats, index: int, frame: int) -> Beats:
    """One beat as two: the second one, with the same pose, is reached at `frame`, which lies before the next beat.

    The description is shared out at a full stop, a semicolon or a comma, or stays with both.
    """
    beat = beats[index]
    end = beats[index + 1].frame if index + 1 < len(beats) else None
    if frame <= beat.frame or (end is not None and frame >= end):
        frame = _between(beats, index, max(2, frame - beat.frame))
    first, second = _halves(beat.text)
    pair = (replace(beat, text=first, posed=first), replace(beat, text=second, posed=second, frame=frame, key=0))
    return _checked([*beats[:index], *pair, *beats[index + 1 :]])


def merge(beats: Beats, index: int) -> Beats:
    """A beat and the one after it as one, at the first one's frame: half of each pose, both descriptions.

    If one of the two is locked, its pose is kept. Raises FacescriptError (`last_beat`) at the end.
    """
    if index + 1 >= len(beats):
        raise FacescriptError("last_beat", "There is no beat after this one.", "Select the first of the two.")
    one, other = beats[index], beats[index + 1]
    if one.locked != other.locked:
        pose = one.shown if one.locked else other.shown
    else:
        pose = blended(one.shown, other.shown, 0.5)
    text = one.text if one.text == other.text else f"{one.text.rstrip('.;, ')}; {_lower(other.text)}"
    merged = set_pose(one, pose, text=text, posed=text, locked=one.locked or other.locked)
    return (*beats[:index], replace(merged, by_hand=one.by_hand or other.by_hand), *beats[index + 2 :])


def retime(beats: Beats, index: int, frame: int) -> Beats:
    """One beat at another frame; it stays between its neighbours. Frame 0 is the first that there is."""
    low = beats[index - 1].frame + 1 if index else min(0, beats[0].frame)
    high = beats[index + 1].frame - 1 if index + 1 < len(beats) else None
    frame = max(low, frame if high is None else min(frame, high))
    return (*beats[:index], replace(beats[index], frame=frame), *beats[index + 1 :])


def moved(beats: Beats, frames: dict[int, int]) -> Beats:
    """Beats, by their numbers, at other frames, in the new order; of two on one frame the later one gives way."""
    placed = sorted((_at(b, frames.get(b.key, b.frame)) for b in beats), key=lambda b: b.frame)
    result: list[ShapedBeat] = []
    for beat in placed:
        least = result[-1].frame + 1 if result else beat.frame
        result.append(_at(beat, max(least, beat.frame)))
    return tuple(result)


def _at(beat: ShapedBeat, frame: int) -> ShapedBeat:
    """The beat at a frame; itself, with what it has worked out, if it is there already."""
    return beat if beat.frame == frame else replace(beat, frame=frame)


def shifted(beats: Beats, frames: int) -> Beats:
    """All beats so many frames later."""
    return tuple(replace(b, frame=b.frame + frames) for b in beats)


def joined(beats: Beats, more: Beats) -> Beats:
    """The beats with others after their end. Raises FacescriptError (`too_long`) if they are too many."""
    return _checked((*beats, *more))


def changed(beats: Beats, index: int, change: Callable[[ShapedBeat], ShapedBeat]) -> Beats:
    """The beats with one changed."""
    return (*beats[:index], change(beats[index]), *beats[index + 1 :])


def _between(beats: Beats, index: int, gap: int) -> int:
    """A free frame after a beat: `gap` later, or half-way to the next one if that is nearer."""
    frame = beats[index].frame
    if index + 1 == len(beats):
        return frame + max(1, gap)
    room = beats[index + 1].frame - frame
    if room < 2:
        raise FacescriptError("no_room", "There is no frame free before the next beat.", "Move the next beat first.")
    return frame + min(max(1, gap), room // 2)


def _halves(text: str) -> tuple[str, str]:
    for mark in (". ", "; ", ", "):
        first, found, rest = text.partition(mark)
        if found and first.strip() and rest.strip():
            rest = rest.strip()
            return first.strip() + ".", rest[:1].upper() + rest[1:]
    return text, text


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _checked(beats: Sequence[ShapedBeat]) -> Beats:
    if len(beats) > MAX_KEYFRAMES:
        raise FacescriptError("too_long", f"More than {MAX_KEYFRAMES} beats.", "Begin another performance.")
    return tuple(beats)
