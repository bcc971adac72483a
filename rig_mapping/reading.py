# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses from a rig's numbers: the inverse of mapping. Pure numpy.

Numbers that show one channel each say it directly. Where one shows several channels, or a channel takes several that
show others too, the pose is the one that fits best, by least squares within the channels' ranges, and of several that
fit equally the one nearest to a given pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..performance import COUNT, INDEX
from ..performance.channels import HIGH, LOW

Array = npt.NDArray[np.float64]

# How much being near the given pose weighs against fitting the numbers: next to nothing, which is enough to choose.
_NEAR = 1e-6
_SETTLED = 1e-9


@dataclass(frozen=True, eq=False)
class Reading:
    """What one number, or one angle, of an `owner` says: `values` (N,) less its offset are the sum of gain x
    coefficient over `parts` (channel, gain)."""

    owner: object
    parts: tuple[tuple[str, float], ...]
    values: Array


def poses(readings: Sequence[Reading], near: Array) -> Array:
    """Poses (N, 61) within the channels' ranges, from readings of N values each; `near` is (N, 61).

    A channel that several owners show is read from the first of them. Channels that nothing shows are 0.
    """
    found = np.zeros((len(near), COUNT))
    for group in _systems(_deciding(readings)):
        names = list(dict.fromkeys(name for reading in group for name, _ in reading.parts))
        columns = [INDEX[name] for name in names]
        if len(names) == 1:
            shares = [reading.values / reading.parts[0][1] for reading in group]
            found[:, columns[0]] = np.mean(shares, axis=0)
        else:
            found[:, columns] = _fit(group, names, near[:, columns])
    return np.clip(found, LOW, HIGH)


def _deciding(readings: Sequence[Reading]) -> list[Reading]:
    """The readings without those of owners all of whose channels are seen on owners before."""
    seen: dict[str, object] = {}
    kept = []
    for reading in readings:
        if any(seen.setdefault(name, reading.owner) == reading.owner for name, _ in reading.parts):
            kept.append(reading)
    return kept


def _systems(readings: Sequence[Reading]) -> list[list[Reading]]:
    """The readings in groups that have no channel in common."""
    groups: list[tuple[set[str], list[Reading]]] = []
    for reading in readings:
        names = {name for name, _ in reading.parts}
        joined = [group for group in groups if group[0] & names]
        for group in joined:
            groups.remove(group)
        members = [one for _, group in joined for one in group]
        groups.append((names.union(*(group[0] for group in joined)), [*members, reading]))
    return [members for _, members in groups]


def _fit(group: Sequence[Reading], names: Sequence[str], near: Array) -> Array:
    """Coefficients (N, channels) of the channels `names` that fit the group's readings best."""
    gains = np.zeros((len(group), len(names)))
    for i, reading in enumerate(group):
        for name, gain in reading.parts:
            gains[i, names.index(name)] += gain
    # Degrees, metres and values of keys count alike.
    scale = np.abs(gains).max(axis=1, keepdims=True)
    gains, wanted = gains / scale, np.stack([r.values for r in group]) / scale
    low, high = LOW[[INDEX[n] for n in names]], HIGH[[INDEX[n] for n in names]]
    square = gains.T @ gains + _NEAR * np.eye(len(names))
    right = wanted.T @ gains + _NEAR * near
    return np.array([_within(square, one, low, high) for one in right]).reshape(near.shape)


def _within(square: Array, right: Array, low: Array, high: Array) -> Array:
    """The point (channels,) between `low` and `high` where x @ square @ x / 2 - right @ x is least: an active set
    method (Nocedal & Wright, Numerical Optimization, 16.5); `square` is positive definite."""
    fixed = np.zeros(len(right), dtype=bool)
    found = np.zeros(len(right))
    for _ in range(4 * len(right) + 4):
        free = ~fixed
        pull = right[free] - square[np.ix_(free, fixed)] @ found[fixed]
        found[free] = np.linalg.solve(square[np.ix_(free, free)], pull)
        beyond = (found < low) | (found > high)
        if beyond.any():
            found = np.clip(found, low, high)
            fixed |= beyond
            continue
        slope = square @ found - right
        # At an end, one may only want to go on beyond it; the one that most wants back is let go.
        wanting = np.where(fixed, np.where(found <= low, -slope, slope), -1.0)
        if wanting.max(initial=-1.0) <= _SETTLED:
            break
        fixed[int(np.argmax(wanting))] = False
    return found
