# SPDX-License-Identifier: GPL-3.0-or-later
"""A pose in plain words, as an animator would note it: "Eyes narrowed, gaze down; a broad smile, cheeks raised." """

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..performance import Pose

_TABLE = Path(__file__).parent / "data" / "plain_words.json"

# Two sides that differ by less than this are one.
_EVEN = 0.125
# Inner and outer brows that are about as high are brows.
_TOGETHER = 0.25
# An eye that is closed, and the least that the other is more open for a wink.
_CLOSED, _WINK = 0.8, 0.45
# As many actions as a sentence holds; of a face that does more the weakest are left out.
_MOST = 20

_CHEEKS = "cheekSquint noseSneer cheekPuff".split()
_MOUTH = (
    "mouthFrown mouthDimple mouthStretch mouthPress mouthUpperUp mouthLowerDown mouthRollUpper "
    "mouthRollLower mouthShrugUpper mouthShrugLower mouthPucker mouthFunnel mouthLeft mouthRight jawOpen mouthClose "
    "jawForward jawLeft jawRight tongueOut"
).split()
_HEAD = {"headYaw": ("headTurnLeft", "headTurnRight"), "headPitch": ("headUp", "headDown")}
_HEAD |= {"headRoll": ("headTiltLeft", "headTiltRight")}


@dataclass(frozen=True)
class _Table:
    """Words by strength: the least values at which each begins to be said, for coefficients and for the head."""

    strengths: tuple[float, ...]
    angles: tuple[float, ...]
    both: dict[str, list[str]]
    side: dict[str, list[str]]
    names: dict[str, dict[str, float]]
    gaze: list[str]
    smile: list[str]
    words: dict[str, str]


@cache
def _table() -> _Table:
    found = json.loads(_TABLE.read_text(encoding="utf-8"))
    return _Table(
        tuple(found["strengths"]),
        tuple(found["angles"]),
        *(found[key] for key in ("both", "side", "names", "gaze", "smile", "words")),
    )


@dataclass(frozen=True)
class _Action:
    strength: float
    text: str


def describe(pose: Pose) -> str:
    """One sentence, never empty, at most 1,000 characters long: the part of the face that does most, then the others.

    Sides are the character's own. What is under a tenth is not said.
    """
    upper = [*_brows(pose), *_eyes(pose), *_gaze(pose)]
    lower = [*_smile(pose), *_middle(pose), *_mouth(pose)]
    parts = sorted((upper, lower), key=lambda part: -max((action.strength for action in part), default=0.0))
    parts.append(list(_head(pose)))
    floor = sorted((action.strength for part in parts for action in part), reverse=True)[_MOST - 1 : _MOST]
    said = [[action.text for action in part if not floor or action.strength >= floor[0]][:_MOST] for part in parts]
    text = "; ".join(", ".join(part) for part in said if part) or _table().words["rest"]
    if name := _name(pose):
        text = f"{name}: {text}"
    return f"{text[0].upper()}{text[1:]}."


def _level(value: float, strengths: tuple[float, ...]) -> int:
    """Which of the words for a strength is said; -1 for none."""
    return bisect_right(strengths, value + 1e-9) - 1


def _said(key: str, value: float, side: str = "") -> Iterator[_Action]:
    table = _table()
    level = _level(value, table.strengths)
    if level >= 0:
        yield _Action(value, table.side[key][level].format(side) if side else table.both[key][level])


def _sides(key: str, pose: Pose) -> Iterator[_Action]:
    left, right = pose[f"{key}Left"], pose[f"{key}Right"]
    if abs(left - right) < _EVEN:
        yield from _said(key, (left + right) / 2)
    else:
        yield from _said(key, left, "left")
        yield from _said(key, right, "right")


def _brows(pose: Pose) -> Iterator[_Action]:
    inner, left, right = pose["browInnerUp"], pose["browOuterUpLeft"], pose["browOuterUpRight"]
    outer = (left + right) / 2
    least = _table().strengths[0]
    if abs(left - right) < _EVEN and min(inner, outer) >= least and abs(inner - outer) < _TOGETHER:
        yield from _said("brows", (inner + outer) / 2)
    else:
        yield from _said("browInnerUp", inner)
        yield from _sides("browOuterUp", pose)
    yield from _sides("browDown", pose)


def _eyes(pose: Pose) -> Iterator[_Action]:
    left, right = pose["eyeBlinkLeft"], pose["eyeBlinkRight"]
    if min(left, right) >= _CLOSED:
        squint = (pose["eyeSquintLeft"] + pose["eyeSquintRight"]) / 2
        yield _Action((left + right) / 2, _table().both["eyeClosed"][max(0, _level(squint, _table().strengths))])
        return
    for closed, other, side in ((left, right, "left"), (right, left, "right")):
        if closed >= _CLOSED and closed - other >= _WINK:
            yield _Action(closed, _table().words["wink"].format(side))
            yield from _said("eyeBlink", other, "right" if side == "left" else "left")
            break
    else:
        yield from _sides("eyeBlink", pose)
    yield from _sides("eyeWide", pose)
    yield from _sides("eyeSquint", pose)


def _gaze(pose: Pose) -> Iterator[_Action]:
    def turn(eye: str, plus: str, minus: str, angle: str) -> float:
        # A rig with eye bones has angles only.
        return pose[f"eyeLook{plus}{eye}"] - pose[f"eyeLook{minus}{eye}"] or pose[f"{eye.lower()}Eye{angle}"]

    left, right = turn("Left", "Out", "In", "Yaw"), turn("Right", "In", "Out", "Yaw")
    across, up = (left + right) / 2, (turn("Left", "Up", "Down", "Pitch") + turn("Right", "Up", "Down", "Pitch")) / 2
    table = _table()
    ways = []
    for value, plus, minus in ((up, "up", "down"), (across, "to the left", "to the right")):
        level = _level(abs(value), table.strengths)
        if level >= 0:
            ways.append((table.gaze[level].format(plus if value > 0 else minus)).strip())
    if ways:
        yield _Action(max(abs(across), abs(up)), "gaze " + " and ".join(ways))
    if left < 0 < right:
        yield from _said("eyesCrossed", min(-left, right))


def _middle(pose: Pose) -> Iterator[_Action]:
    for key in _CHEEKS:
        yield from _sides(key, pose) if key in _table().side else _said(key, pose[key])


def _mouth(pose: Pose) -> Iterator[_Action]:
    for key in _MOUTH:
        yield from _sides(key, pose) if key in _table().side else _said(key, pose[key])


def _smile(pose: Pose) -> Iterator[_Action]:
    left, right = pose["mouthSmileLeft"], pose["mouthSmileRight"]
    table = _table()
    levels = [_level(value, table.strengths) for value in (left, right)]
    if abs(left - right) >= _EVEN and min(levels) >= 0:
        told = table.words["crooked"].format(*(table.smile[level] for level in levels))
        yield _Action(max(left, right), told)
    else:
        yield from _sides("mouthSmile", pose)
    cheeks = pose["cheekSquintLeft"] + pose["cheekSquintRight"]
    if min(levels) >= 1 and cheeks < 2 * table.strengths[0]:
        yield _Action(min(left, right), table.words["still cheeks"])


def _head(pose: Pose) -> Iterator[_Action]:
    table = _table()
    for angle, (plus, minus) in _HEAD.items():
        level = _level(abs(pose[angle]), table.angles)
        if level >= 0:
            yield _Action(abs(pose[angle]), table.both[plus if pose[angle] > 0 else minus][level])


def _name(pose: Pose) -> str:
    """The word for what several parts of the face do together, if there is one."""

    def least(key: str) -> float:
        return min(pose[f"{key}Left"], pose[f"{key}Right"]) if key in _table().side else pose[key]

    for name, needed in _table().names.items():
        if all(least(key) >= value for key, value in needed.items()):
            return name
    return ""
