# SPDX-License-Identifier: GPL-3.0-or-later
"""A mapping: which numbers of a rig show which channels.

It is what matching finds, what the editor changes, and what is kept in the file with the character.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .references import ObjectRef

# KEY: a shape key's value. PROPERTY: any animatable number of an object, such as a control bone's location or a custom
# property. TURN: a bone's rotation, or the object's own.
Kind = Literal["KEY", "PROPERTY", "TURN"]
KINDS: tuple[Kind, ...] = ("KEY", "PROPERTY", "TURN")

# The index of a TURN row.
YAW, PITCH, ROLL = 0, 1, 2


@dataclass(frozen=True)
class MapRow:
    """A channel's part in one number of the rig, which is `offset` + the sum of `gain` x coefficient over its rows,
    kept within [`low`, `high`].

    `object`: the mesh, the armature or another object. `name`: the shape key's name, the data path from the object,
    or the bone's name ("" for the object itself). `index`: in the array that the data path leads to; of a turn, the
    axis: `YAW`, `PITCH` or `ROLL` of the character, whichever way the bone is rolled. `gain` is in the number's own
    unit for a coefficient of 1; of a turn in degrees, positive to the character's left, up, and towards the left
    shoulder. Rows of one number have the same offset and limits. `confidence` in [0, 1]: how sure the match is;
    1 if it was made `by_hand`.
    """

    channel: str
    kind: Kind
    object: ObjectRef
    name: str
    index: int = 0
    gain: float = 1.0
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    confidence: float = 1.0
    by_hand: bool = False


@dataclass(frozen=True)
class Mapping:
    """All rows of one character, and the id of the profile that they were matched with."""

    profile: str
    rows: tuple[MapRow, ...]
