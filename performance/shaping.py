# SPDX-License-Identifier: GPL-3.0-or-later
"""Shaping a pose by hand: how strong each region is, one pose blended into another. Pure functions of poses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .channels import CHANNELS, INDEX, REGIONS
from .pose import Array, Pose

# A strength of 2 doubles every value; past that, most channels stand at their end.
STRONGEST = 2.0
NEUTRAL_STRENGTHS: tuple[float, ...] = (1.0,) * len(REGIONS)

# Lips that are closed over an open jaw stay closed however far it opens: mouthClose goes with the jaw.
_REGION_OF = {c.name: "jaw" if c.name == "mouthClose" else c.region for c in CHANNELS}
_COLUMN = np.array([REGIONS.index(_REGION_OF[c.name]) for c in CHANNELS])


def scaled(pose: Pose, strength: float = 1.0, regions: Sequence[float] = NEUTRAL_STRENGTHS) -> Pose:
    """The pose with every channel times `strength` and its region's strength, brought into its range.

    `regions` has a factor for each of REGIONS, in their order; factors are >= 0.
    """
    return Pose.clipped(pose.values * (strength * np.asarray(regions, dtype=np.float64)[_COLUMN]))


def blended(one: Pose, other: Pose, share: float) -> Pose:
    """`share` (0 to 1) of the way from one pose to another."""
    return Pose.clipped(one.values + share * (other.values - one.values))


def with_values(pose: Pose, values: Mapping[str, float]) -> Pose:
    """The pose with some channels set, each brought into its range."""
    changed: Array = pose.values.copy()
    for name, value in values.items():
        changed[INDEX[name]] = value
    return Pose.clipped(changed)
