# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes of the Facial Action Coding System in words: `AU4 + AU12L` says that brows are down and one corner is up.

The names of the units are those of Ekman and Friesen (1978) and Ekman, Friesen and Hager (2002); in the letters for
intensity A is a trace and E the maximum.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).parent / "data" / "action_units.json"

CODE = re.compile(r"\b(?P<before>[LR])?AU ?(?P<unit>\d{1,2})(?P<after>[LR])?(?P<intensity>[A-E])?\b")
_SIDE = re.compile(r"\b(?:unilateral,? )?(?:on the |the )?(left|right)(?: side)?(?: only)?\b", re.I)
_INTENSITY = re.compile(r"\b(?:at )?intensity (?P<intensity>[A-E])\b", re.I)
_JOINT = re.compile(r"\s*(?:\+|\bplus\b|\bwith\b)\s*")
# More other words than this, and the text describes by itself.
_OTHER_WORDS = 6
_SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True)
class _Table:
    intensities: Mapping[str, str]
    units: Mapping[str, tuple[str, str]]


@cache
def _table() -> _Table:
    found = json.loads(_TABLE.read_text(encoding="utf-8"))
    return _Table(found["intensities"], {unit: (both, side) for unit, (both, side) in found["units"].items()})


def spelled_out(text: str) -> str:
    """A description that is mostly codes, with the codes in words; any other text as it is.

    A side that the text names once beside its codes ("AU12, left side only") is the side of all of them.
    """
    rest = CODE.sub(" ", text)
    if not CODE.search(text) or len(re.findall(r"[^\W\d_]+", rest)) > _OTHER_WORDS:
        return text
    named = {side.lower() for side in _SIDE.findall(rest)}
    common = named.pop() if len(named) == 1 else ""
    if common:
        text = _SIDE.sub("", text)
    text = CODE.sub(lambda code: _words(code, common), text)
    text = _INTENSITY.sub(lambda found: _table().intensities[found["intensity"].upper()], text)
    return re.sub(r"\s*(?:,\s*)+", ", ", _JOINT.sub(", ", text)).strip(" ,")


def _words(code: re.Match[str], common: str) -> str:
    if code["unit"] not in _table().units:
        return code[0]
    both, one = _table().units[code["unit"]]
    side = _SIDES.get(code["before"] or code["after"] or "", common)
    strength = f", {_table().intensities[code['intensity']]}" if code["intensity"] else ""
    return (one.format(side) if side else both) + strength
