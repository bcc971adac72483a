# SPDX-License-Identifier: GPL-3.0-or-later
"""A mapping: which numbers of a rig show which channels.

It is what matching finds, what the editor changes, and what is kept in the file with the character.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
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


@dataclass(frozen=True)
class Number:
    """One number of the rig, a shape key's value or any other, with all channels that it shows.

    It is `offset` + the sum of gain x coefficient over `parts` (channel, gain), kept within [`low`, `high`]; the other
    fields are those of `MapRow`.
    """

    kind: Kind
    object: ObjectRef
    name: str
    index: int
    parts: tuple[tuple[str, float], ...]
    offset: float
    low: float
    high: float

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that it shows."""
        return tuple(channel for channel, _ in self.parts)


def numbers(rows: Iterable[MapRow]) -> tuple[Number, ...]:
    """The numbers that rows of the kinds KEY and PROPERTY lead to, each once, in order; the first row of a number says
    its offset and limits. Gains of 0 are left out."""
    grouped: dict[tuple[Kind, ObjectRef, str, int], list[MapRow]] = {}
    for row in rows:
        if row.kind != "TURN" and row.gain != 0.0:
            grouped.setdefault((row.kind, row.object, row.name, row.index), []).append(row)
    found = []
    for (kind, obj, name, index), group in grouped.items():
        gains: dict[str, float] = {}
        for row in group:
            gains[row.channel] = gains.get(row.channel, 0.0) + row.gain
        first = group[0]
        parts = tuple((channel, gain) for channel, gain in gains.items() if gain != 0.0)
        if parts:
            found.append(Number(kind, obj, name, index, parts, first.offset, first.low, first.high))
    return tuple(found)
