# SPDX-License-Identifier: GPL-3.0-or-later
"""What a planner is asked for: the description of one beat, or several to choose from."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True)
class Ask:
    """Beat `part`, from 0, of the `parts` of one moment of a script; `words` are the moment's, and `told` what they say
    of the face at this beat."""

    words: str
    part: int = 0
    parts: int = 1
    told: str = ""


@dataclass(frozen=True)
class Takes:
    """`count` descriptions to choose from, all different and none of them `taken`; the same `seed` gives the same."""

    count: int
    seed: int
    taken: AbstractSet[str] = frozenset()
