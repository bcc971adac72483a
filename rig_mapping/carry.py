# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the animator's keys when beats are moved or changed: they go with their beat. Pure numpy.

A performance is written anew after every edit of its beats. Keys that are still as they were written are replaced.
Those that the animator changed or added stay, bit for bit, unless their own beat moves (then they move with it, in
time) or gets another pose (then they keep their distance from it, in value).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..performance import Performance
from .keys import SAME, Codes, Keys, Mask, Record, marked, ours, select

Floats = npt.NDArray[np.float64]

# Blender takes keys closer than a hundredth of a frame for one (BEZT_BINARYSEARCH_THRESH in its fcurve.cc).
ONE_KEY = 0.0105
_ASIDE = 0.02


@dataclass(frozen=True, eq=False)
class Carry:
    """The beats that were on the timeline, and where each of them goes.

    `before` is the performance as it was shown, with its beats at `frames` (N,), rising. `anchors` (M, 2) says where
    frames of the timeline go, rising in both columns: a key between two of them goes in proportion, a key outside
    stays. `spans` (N, 2) are the frames in which a beat's pose is held; `now` (N,) is the frame of each beat after the
    edit, or -1 if it is gone. `reshaped` are the beats that get another pose, `dropped` those whose keys by hand go,
    but not from `others`: F-curves that showed nothing of those beats, by the session's number of their datablock and
    their address. `dragged` says by how many frames keys of the performance in (start, end) were moved by hand since:
    they are no edits.
    """

    before: Performance
    frames: npt.NDArray[np.int64]
    anchors: Floats
    spans: Floats
    now: npt.NDArray[np.int64]
    reshaped: frozenset[int] = frozenset()
    dropped: frozenset[int] = frozenset()
    others: frozenset[tuple[int, tuple[str, int]]] = frozenset()
    dragged: Mapping[tuple[float, float], float] = field(default_factory=dict)

    def mine(self, have: Keys, record: Record | None, codes: Codes) -> Mask:
        """Which keys are as they were written, or were only dragged with their beat, shape (K,)."""
        return followed(have, record, codes, self.dragged)

    def carried(self, keys: Keys, shifts: Floats, limits: tuple[float, float] = (-np.inf, np.inf)) -> Keys:
        """The animator's keys (K,) of one F-curve after the edit; `shifts` (N,) is by how much its value changes at
        each beat that was reshaped. What changes stays within `limits`."""
        x = keys["co"][:, 0].astype(np.float64)
        beat = beats_at(x, self.spans[:, 0], self.spans[:, 1])
        gone = np.isin(beat, list(self.dropped))
        keys, x, beat = select(keys, ~gone), x[~gone], beat[~gone]
        moved = self._moved(x)
        shift = np.where(beat >= 0, shifts[beat], 0.0)
        carried = {name: values.copy() for name, values in keys.items()}
        for name in ("co", "handle_left", "handle_right"):
            carried[name][:, 0] += (moved - x).astype("f4")
            carried[name][:, 1] += shift.astype("f4")
            # Where nothing is changed, whatever the animator has set is right.
            np.clip(carried[name][:, 1], *limits, out=carried[name][:, 1], where=shift != 0.0)
        order = np.argsort(carried["co"][:, 0], kind="stable")
        return select(carried, order)

    def _moved(self, x: Floats) -> Floats:
        """Where frames go: whole ones to whole ones, unless two would meet."""
        old, new = self.anchors[:, 0], self.anchors[:, 1]
        if not len(old) or np.array_equal(old, new):
            return x
        inside = (x >= old[0] - SAME) & (x <= old[-1] + SAME)
        exact = np.where(inside, np.interp(x, old, new), x)
        rounded = np.where(np.abs(x - np.rint(x)) < SAME, np.rint(exact), exact)
        frames = rounded if len(np.unique(rounded)) == len(x) else exact
        return apart(frames, inside, self.now[self.now >= 0].astype(np.float64))


def beats_at(frames: Floats, starts: Floats, ends: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The beat in whose [start, end] each of `frames` (K,) lies, or -1, shape (K,); `starts` rise."""
    if not len(starts):
        return np.full(frames.shape, -1)
    index = np.searchsorted(starts, frames + SAME, side="right") - 1
    inside = (index >= 0) & (frames <= ends[np.maximum(index, 0)] + SAME)
    return np.where(inside, index, -1)


def apart(frames: Floats, movable: Mask, beats: Floats) -> Floats:
    """Frames (K,), in the order of their keys, of which Blender takes no two for one, nor one beside a beat for the
    beat's: a movable one that has come too near goes aside, to the side from which it came."""
    free = frames.copy()
    for i in np.flatnonzero(movable):
        beside = beats[:0] if np.any(np.abs(beats - free[i]) < SAME) else beats
        before = np.concatenate([free[:i], beside[beside <= free[i]]])
        after = np.concatenate([free[i + 1 :], beside[beside > free[i]]])
        aside = _ASIDE if np.any(np.abs(before - free[i]) < ONE_KEY) else -_ASIDE
        others = np.concatenate([before, after])
        while np.any(np.abs(others - free[i]) < ONE_KEY):
            free[i] += aside
    return free


def followed(have: Keys, record: Record | None, codes: Codes, dragged: Mapping[tuple[float, float], float]) -> Mask:
    """Which keys are as the record says, or would be if keys recorded in (start, end) were so many frames later."""
    mask = ours(have, record, codes)
    if record is None:
        return mask
    frames = record.frames.astype(np.float64)
    for (start, end), distance in dragged.items():
        rows = (frames >= start - SAME) & (frames <= end + SAME)
        if rows.any():
            there = Record(frames[rows] + distance, record.values[rows], record.made, record.before)  # type: ignore[arg-type]
            mask |= ours(have, there, codes)
    return mask


def distances(have: Keys, record: Record, codes: Codes) -> list[tuple[float, float]]:
    """(frame, distance) of the recorded keys that are not where they were written, for each key of ours with the same
    value that one of them may have become."""
    mask = ours(have, record, codes)
    left = have["co"][mask, 0].astype(np.float64)
    others = have["co"][marked(have) & ~mask].astype(np.float64)
    if not len(others):
        return []
    missing = ~near_any(record.frames, left)
    return [
        (float(f), float(x - f))
        for f, v in zip(record.frames[missing], record.values[missing], strict=True)
        for x, y in others
        if abs(y - v) < SAME
    ]


def near_any(frames: npt.ArrayLike, others: npt.ArrayLike, reach: float = SAME) -> Mask:
    """Which of rising `frames` (K,) are among rising `others` (N,), up to `reach` frames, shape (K,)."""
    x, y = np.asarray(frames, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if not len(y):
        return np.zeros(len(x), dtype=bool)
    index = np.clip(np.searchsorted(y, x - reach), 0, len(y) - 1)
    return np.asarray(np.abs(y[index] - x) < reach)


def anchors(old: Sequence[float], new: Sequence[float]) -> Floats:
    """Pairs of frames, rising in both columns; a pair that would go back is left out."""
    rows: list[tuple[float, float]] = []
    for row in sorted(zip(old, new, strict=True)):
        if not rows or (row[0] > rows[-1][0] and row[1] > rows[-1][1]):
            rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, 2)
