# SPDX-License-Identifier: GPL-3.0-or-later
"""How near poses are to the corpus's: errors, active channels, and whether the right side of the face moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..performance.channels import COUNT, INDEX
from ..performance.pose import SHORTHAND, Array

# A channel is active above this: the corpus is written in steps of 0.05, so from 0.1 on.
ACTIVE = 0.075
# The last six channels say again what the eyeLook channels say.
INDEPENDENT = 55

# A true pose acts on one side of a pair of channels if they differ by this much.
ONE_SIDED = 0.15
# A true pose goes to a side if its channel or difference of channels is this far from zero.
DIRECTED = 0.1
# A prediction that differs by no more than this takes no side.
TIE = 0.02
# Differences of decimals are off by a few units of rounding; they are not to decide a case.
_ROUNDING = 1e-9

# Left and right channels of what each side can do by itself. Where both eyes look sideways is a direction.
PAIRS: tuple[tuple[str, str], ...] = tuple(
    (names[0], names[1])
    for base, names in SHORTHAND.items()
    if not base.startswith(("gaze", "eyeLookIn", "eyeLookOut"))
)

# What goes to one side or the other: the mean of the first channels minus the mean of the second, positive to the left.
DIRECTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "jaw": (("jawLeft",), ("jawRight",)),
    "mouth": (("mouthLeft",), ("mouthRight",)),
    "gaze": (SHORTHAND["gazeLeft"], SHORTHAND["gazeRight"]),
    "head yaw": (("headYaw",), ()),
    "head roll": (("headRoll",), ()),
}


@dataclass(frozen=True)
class Figures:
    """Mean squared and mean absolute error, and the F1 of active channels over all values together."""

    mse: float
    mae: float
    f1: float

    def __str__(self) -> str:
        return f"MAE {self.mae:.4f}  MSE {self.mse:.5f}  F1 {self.f1:.4f}"


@dataclass(frozen=True)
class Share:
    """`right` of `asked` cases."""

    right: int
    asked: int

    @property
    def share(self) -> float:
        """In [0, 1]; NaN if nothing was asked."""
        return self.right / self.asked if self.asked else float("nan")

    def __add__(self, other: Share) -> Share:
        return Share(self.right + other.right, self.asked + other.asked)


@dataclass(frozen=True)
class Measures:
    """All that is measured of poses against true ones.

    `every` is over the 61 channels, `independent` over the first 55. `one_sided` counts pairs of channels of which the
    true pose moves one more than the other, `directions` by name what goes to the left or to the right.
    """

    every: Figures
    independent: Figures
    one_sided: Share
    directions: dict[str, Share]

    @property
    def directed(self) -> Share:
        """All directions together."""
        return sum(self.directions.values(), Share(0, 0))


def measure(found: Array, true: Array) -> Measures:
    """Compare poses (P, 61). Raises ValueError for other shapes, or if there are none."""
    if found.shape != true.shape or found.ndim != 2 or found.shape[1] != COUNT or not len(found):
        raise ValueError(f"Poses of shape {found.shape} cannot be compared with {true.shape}.")
    return Measures(_figures(found, true), figures(found, true), one_sided(found, true), directions(found, true))


def figures(found: Array, true: Array) -> Figures:
    """Compare poses (P, 55 or more), over the first 55 channels."""
    return _figures(found[:, :INDEPENDENT], true[:, :INDEPENDENT])


def slot_figures(found: Array, true: Array) -> Figures:
    """Compare slots (P, 58)."""

    def channels(values: Array) -> Array:
        return np.concatenate([values[:, :52], values[:, 52::2] - values[:, 53::2]], axis=1)

    return figures(channels(found), channels(true))


def _figures(found: Array, true: Array) -> Figures:
    one, other = np.abs(found) > ACTIVE, np.abs(true) > ACTIVE
    both, either = (one & other).sum(), one.sum() + other.sum()
    away = found - true
    return Figures(float((away**2).mean()), float(np.abs(away).mean()), float(2 * both / max(1, either)))


def one_sided(found: Array, true: Array) -> Share:
    """Of poses (P, 61): in how many of the pairs that truly differ the prediction leans to the same side.

    A pair counts if its true sides differ by `ONE_SIDED` or more; the prediction must differ by more than `TIE`.
    """
    left, right = (np.array([INDEX[pair[side]] for pair in PAIRS]) for side in (0, 1))
    return _same_side(found[:, left] - found[:, right], true[:, left] - true[:, right], ONE_SIDED)


def directions(found: Array, true: Array) -> dict[str, Share]:
    """Of poses (P, 61), by name of the direction: how often the prediction goes to the true one's side.

    A direction counts where it is truly `DIRECTED` or more from zero; the prediction must be more than `TIE` from it.
    """
    return {
        name: _same_side(_lean(found, *channels), _lean(true, *channels), DIRECTED)
        for name, channels in DIRECTIONS.items()
    }


def _lean(poses: Array, plus: tuple[str, ...], minus: tuple[str, ...]) -> Array:
    return _mean(poses, plus) - _mean(poses, minus)


def _mean(poses: Array, names: tuple[str, ...]) -> Array:
    if not names:
        return np.zeros(len(poses))
    return np.asarray(poses[:, [INDEX[name] for name in names]].mean(axis=1))


def _same_side(found: Array, true: Array, least: float) -> Share:
    asked = np.abs(true) >= least - _ROUNDING
    right = asked & (found * np.sign(true) > TIE + _ROUNDING)
    return Share(int(right.sum()), int(asked.sum()))
