# SPDX-License-Identifier: GPL-3.0-or-later
"""A pose in plain words: "Inner brows raised, eyes half closed, gaze down, mouth corners slightly down." """

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..performance import Pose
from ..performance.pose import SHORTHAND

_TABLE = Path(__file__).parent / "data" / "plain_words.json"

# From the brows down, as faces are read.
_ORDER = (
    "brows browInnerUp browOuterUp browDown eyeBlink eyeWide eyeSquint gazeUp gazeDown gazeLeft gazeRight cheekSquint "
    "noseSneer cheekPuff mouthSmile mouthFrown mouthDimple mouthStretch mouthPress mouthUpperUp mouthLowerDown "
    "mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthPucker mouthFunnel mouthLeft mouthRight "
    "jawOpen mouthClose jawForward jawLeft jawRight tongueOut headTurnLeft headTurnRight headUp headDown headTiltLeft "
    "headTiltRight"
).split()

_HEAD = {"headYaw": ("headTurnLeft", "headTurnRight"), "headPitch": ("headUp", "headDown")}
_HEAD |= {"headRoll": ("headTiltLeft", "headTiltRight")}
# An angle of the head counts as much as a coefficient twice as large: 0.5 is a turn of 22 degrees.
_HEAD_SCALE = 2.0

# Two sides that differ by less than this are one.
_EVEN = 0.125
# Inner and outer brows that are about as high are brows.
_TOGETHER = 0.25


@dataclass(frozen=True)
class _Table:
    strengths: tuple[float, ...]
    both: dict[str, list[str]]
    side: dict[str, list[str]]
    rest: str


@cache
def _table() -> _Table:
    found = json.loads(_TABLE.read_text(encoding="utf-8"))
    return _Table(tuple(found["strengths"]), found["both"], found["side"], found["rest"])


def describe(pose: Pose, most: int = 9) -> str:
    """One sentence with the `most` strongest actions of a pose, from the brows down; sides are the character's own."""
    found = _actions(pose)
    if not found:
        return _table().rest + "."
    # Of what is equally strong the earlier part of the face stays.
    kept = sorted(sorted(found, key=lambda action: -action.strength)[:most], key=lambda action: action.place)
    text = ", ".join(action.text for action in kept)
    return text[0].upper() + text[1:] + "."


@dataclass(frozen=True)
class _Action:
    place: int
    strength: float
    text: str


def _actions(pose: Pose) -> list[_Action]:
    table = _table()
    found = []

    def add(stem: str, value: float, side: str = "") -> None:
        level = bisect_right(table.strengths, value + 1e-9) - 1
        if level >= 0:
            words = table.side[stem][level].format(side) if side else table.both[stem][level]
            found.append(_Action(_ORDER.index(stem), value, words))

    inner, outer = pose["browInnerUp"], (pose["browOuterUpLeft"], pose["browOuterUpRight"])
    joined = abs(outer[0] - outer[1]) < _EVEN and min(inner, outer[0]) > table.strengths[0]
    if joined and abs(inner - sum(outer) / 2) < _TOGETHER:
        add("brows", max(inner, *outer))
    else:
        add("browInnerUp", inner)
        _add_sides(add, "browOuterUp", *outer)
    for stem in _ORDER:
        if stem in table.side and stem != "browOuterUp":
            _add_sides(add, stem, pose[f"{stem}Left"], pose[f"{stem}Right"])
        elif stem.startswith("gaze"):
            add(stem, sum(pose[name] for name in SHORTHAND[stem]) / 2)
        elif stem not in ("brows", "browInnerUp", "browOuterUp") and not stem.startswith("head"):
            add(stem, pose[stem])
    for angle, (plus, minus) in _HEAD.items():
        add(plus if pose[angle] > 0 else minus, abs(pose[angle]) * _HEAD_SCALE)
    return found


def _add_sides(add, stem: str, left: float, right: float) -> None:  # type: ignore[no-untyped-def]
    if abs(left - right) < _EVEN:
        add(stem, (left + right) / 2)
    else:
        add(stem, left, "left")
        add(stem, right, "right")
