# SPDX-License-Identifier: GPL-3.0-or-later
"""The beats of a capture: the moments that a face reaches and holds, or turns round at. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .pose import Array
from .recording import Recording

Indices = npt.NDArray[np.int64]

# Seconds of the Gaussian that a sensor's noise is taken out with before speeds are.
_NOISE = 0.05
# Slower than this share of its usual fast moves, and than so many full coefficients a second, a face is at rest.
_REST, _LEAST = 0.15, 0.3
# Where a face turns round, it has at most half the speed of the seconds on both sides.
_TURN = 0.15


def find_beats(
    times: npt.ArrayLike,
    poses: npt.ArrayLike,
    *,
    bound: float,
    gap: float = 0.2,
    played: Callable[[Indices], Array] | None = None,
) -> Indices:
    """The moments of a capture that are its beats: reached and held, or turned round at. Indices, rising, (B,).

    `poses` is (N, 61) at rising `times` (N,) in seconds. Moments where the face comes to rest or turns round are
    taken, without those that nothing would be missed of. Then, wherever what is `played` with them (N, 61) is off by
    more than `bound` in a channel, the worst moment is added, as long as it is `gap` seconds away from the others.
    Without `played`, a face moves straight from beat to beat. Poses that are at least `gap` apart are keyframes, and
    each is a beat.
    """
    t, p = np.asarray(times, dtype=np.float64), np.asarray(poses, dtype=np.float64)
    if len(t) < 3 or float(np.diff(t).min()) >= gap:
        return np.arange(len(t))
    play = played or (lambda beats: _straight(t, p, beats))
    chosen = _spaced(t, _rests(t, p), gap)
    chosen = _missed(t, p, chosen, bound)
    while True:
        errors = np.abs(play(chosen) - p).max(axis=1)
        more = _farthest(t, errors, chosen, bound, gap)
        if not more.size:
            return chosen
        chosen = np.union1d(chosen, more)


def _straight(t: Array, p: Array, beats: Indices) -> Array:
    return np.stack([np.interp(t, t[beats], p[beats, i]) for i in range(p.shape[1])], axis=1)


def _rests(t: Array, p: Array) -> Indices:
    """Where a face comes to rest or turns round, with the first and the last moment."""
    quiet = Recording(t - t[0], p, 0.0).smoothed(_NOISE).values
    speed = np.linalg.norm(np.gradient(quiet, t, axis=0), axis=1)
    slow = speed < max(_LEAST, _REST * float(np.quantile(speed, 0.95)))
    arrivals = np.flatnonzero(slow[1:] & ~slow[:-1]) + 1
    reach = max(1, round(_TURN / float(np.median(np.diff(t)))))
    padded = np.pad(speed, reach, mode="edge")
    fastest = np.lib.stride_tricks.sliding_window_view(padded, reach + 1).max(axis=1)
    before, after = fastest[: len(t)], fastest[reach:]
    low = (speed[1:-1] <= speed[:-2]) & (speed[1:-1] < speed[2:]) & ~slow[1:-1]
    turns = low & (speed[1:-1] < 0.5 * np.minimum(before, after)[1:-1])
    return np.unique(np.concatenate([[0], arrivals, np.flatnonzero(turns) + 1, [len(t) - 1]]))


def _spaced(t: Array, moments: Indices, gap: float) -> Indices:
    """The moments without those too near to the one before or to the last."""
    kept = [int(moments[0])]
    for i in moments[1:-1].tolist():
        if t[i] - t[kept[-1]] >= gap and t[moments[-1]] - t[i] >= gap:
            kept.append(i)
    return np.array([*kept, int(moments[-1])])


def _missed(t: Array, p: Array, moments: Indices, bound: float) -> Indices:
    """The moments without those that lie within the bound of the way between their neighbours."""
    kept = [int(moments[0])]
    for i, after in zip(moments[1:-1].tolist(), moments[2:].tolist(), strict=True):
        share = (t[i] - t[kept[-1]]) / (t[after] - t[kept[-1]])
        way = p[kept[-1]] + share * (p[after] - p[kept[-1]])
        if np.abs(way - p[i]).max() > bound:
            kept.append(i)
    return np.array([*kept, int(moments[-1])])


def _farthest(t: Array, errors: Array, chosen: Indices, bound: float, gap: float) -> Indices:
    """The worst moment between each two beats, if it is off by more than the bound and has room."""
    found = []
    for one, other in zip(chosen[:-1].tolist(), chosen[1:].tolist(), strict=True):
        free = np.flatnonzero((t[one:other] >= t[one] + gap) & (t[one:other] <= t[other] - gap)) + one
        if free.size:
            worst = int(free[np.argmax(errors[free])])
            found += [worst] if errors[worst] > bound else []
    return np.array(found, dtype=np.int64)
