# SPDX-License-Identifier: GPL-3.0-or-later
"""A dense recording as sparse keyframes, within a stated error at every recorded moment. Pure numpy.

Between two keys a curve is the cubic that Bezier handles of a third of their distance give (Hermite's form), with the
slopes of Fritsch and Butland (SIAM J. Sci. Stat. Comput. 5, 1984): it is smooth, and never leaves the values of the two
keys, so that what was closed stays closed. Keys stand on recorded moments. They are put where the curve is farthest
off until it is nowhere off by more than the bound, and then those that the bound does not need are taken out again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .pose import Array

Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

# Smaller differences are float noise, not motion.
EXACT = 1e-6
# Keys so far apart do not change one another's curve when one is taken out: a slope is made of its two neighbours.
_APART = 4


@dataclass(frozen=True)
class SparseCurve:
    """One curve: keys at rising `times` (K,) with `values` (K,) and `slopes` (K,), in values per unit of time."""

    times: Array
    values: Array
    slopes: Array

    @property
    def handles(self) -> tuple[Array, Array]:
        """The Bezier handles to the left and to the right, each (K, 2) as (time, value); the outermost mirror."""
        gaps = np.diff(self.times) / 3.0 if len(self.times) > 1 else np.array([1.0 / 3.0])
        left, right = np.concatenate([gaps[:1], gaps]), np.concatenate([gaps, gaps[-1:]])
        if len(self.times) == 1:
            left = right = gaps
        return (
            np.stack([self.times - left, self.values - left * self.slopes], axis=1),
            np.stack([self.times + right, self.values + right * self.slopes], axis=1),
        )

    def at(self, times: npt.ArrayLike) -> Array:
        """The values at `times` (N,), held outside the keys."""
        return _hermite(self.times, self.values, self.slopes, np.atleast_1d(np.asarray(times, dtype=np.float64)))


def reduce(times: npt.ArrayLike, values: npt.ArrayLike, bound: float) -> SparseCurve:
    """The fewest keys found that are nowhere off by more than `bound`, for `values` (N,) at rising `times` (N,).

    The first and the last moment have keys. A bound below `EXACT` is taken for it; it is in the values' own unit.
    """
    t, y = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    tolerance = max(bound, EXACT)
    if len(t) < 2:
        return SparseCurve(t, y, np.zeros(len(t)))
    keep = np.zeros(len(t), dtype=bool)
    keep[[0, -1]] = True
    while True:
        wrong = _worst(t, y, keep, tolerance)
        if not wrong.size:
            break
        keep[wrong] = True
    _prune(t, y, keep, tolerance)
    return _through(t[keep], y[keep])


def _through(t: Array, y: Array) -> SparseCurve:
    return SparseCurve(t, y, _slopes(t, y))


def _slopes(t: Array, y: Array) -> Array:
    """Slopes (K,) with which each piece stays between its two values."""
    gaps = np.diff(t)
    secants = np.diff(y) / gaps
    slopes = np.zeros(len(t))
    slopes[[0, -1]] = secants[[0, -1]]
    if len(t) > 2:
        before, after = secants[:-1], secants[1:]
        heavy, light = gaps[:-1] + 2.0 * gaps[1:], 2.0 * gaps[:-1] + gaps[1:]
        same = before * after > 0.0
        b, a = np.where(same, before, 1.0), np.where(same, after, 1.0)
        slopes[1:-1] = np.where(same, (heavy + light) / (light / b + heavy / a), 0.0)
    return slopes


def _hermite(t: Array, y: Array, slopes: Array, at: Array) -> Array:
    if len(t) == 1:
        return np.full(at.shape, y[0])
    inside = np.clip(at, t[0], t[-1])
    i = np.clip(np.searchsorted(t, inside, side="right") - 1, 0, len(t) - 2)
    gap = t[i + 1] - t[i]
    u = (inside - t[i]) / gap
    v = 1.0 - u
    start = v * v * ((1.0 + 2.0 * u) * y[i] + u * gap * slopes[i])
    return np.asarray(start + u * u * ((1.0 + 2.0 * v) * y[i + 1] - v * gap * slopes[i + 1]))


def _errors(t: Array, y: Array, keep: Mask) -> Array:
    """How far the curve through the kept moments is off at every moment, (N,)."""
    return np.abs(_through(t[keep], y[keep]).at(t) - y)


def _worst(t: Array, y: Array, keep: Mask, tolerance: float) -> Indices:
    """The moment in each piece at which the curve is farthest off, of those pieces where that is too far."""
    keys = np.flatnonzero(keep)
    errors = _errors(t, y, keep)
    errors[keys] = 0.0
    most = np.maximum.reduceat(errors, keys[:-1])
    piece = np.repeat(np.arange(len(most)), np.diff(keys))
    at = np.flatnonzero((errors[: keys[-1]] == most[piece]) & (most[piece] > tolerance))
    return at[np.unique(piece[at], return_index=True)[1]]


def _prune(t: Array, y: Array, keep: Mask, tolerance: float) -> None:
    """Take keys out that the tolerance does not need: many at a time, too far from one another to matter."""
    for start in range(_APART):
        keys = np.flatnonzero(keep)
        tried = keys[1 + start : -1 : _APART]
        if not tried.size:
            continue
        keep[tried] = False
        errors = _errors(t, y, keep)
        # Without a key, the two pieces on each side of it change.
        place = np.searchsorted(keys, tried)
        first, last = keys[np.maximum(place - 2, 0)], keys[np.minimum(place + 2, len(keys) - 1)]
        over = np.concatenate([[0], np.cumsum(errors > tolerance)])
        keep[tried[over[last + 1] > over[first]]] = True
