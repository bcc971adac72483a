# SPDX-License-Identifier: GPL-3.0-or-later
"""What a planner is asked for: the description of one beat."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ask:
    """Beat `part` of the `parts` of moment `index` of the `count` of a script, all from 0; `words` are the moment's."""

    words: str
    index: int = 0
    count: int = 1
    part: int = 0
    parts: int = 1
