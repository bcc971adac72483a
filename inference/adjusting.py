# SPDX-License-Identifier: GPL-3.0-or-later
"""A pose changed in words: "more tired, less smile, raise the left eyebrow".

The words become steps. What a step's phrase looks like is read by the model's poser, each phrase by itself
(`pose_each`); how the step then changes the pose is arithmetic on channels, here. Channels that a phrase does not move
stay exactly as they are, and what is opposed to a channel that rises gives way to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from ..performance import CHANNELS, INDEX, Beat, Brief, FacescriptError, Pose
from ..performance.pose import Array
from .scripts.text import is_face_description, tells_of_face

_TABLE = Path(__file__).parent / "data" / "adjusting.json"

Operation = Literal["more", "less", "add", "remove"]

# A phrase concerns a channel from this share of its strongest one on: a smile's cheeks, but not its brows. What is
# taken away is taken more narrowly.
_CONCERNS = {"more": 0.25, "add": 0.25, "less": 0.4, "remove": 0.4}
# Under this a phrase's pose shows nothing.
_SEEN = 0.1
# How far a whole step moves an angle of the head, in shares of its full angle: heads move little.
_HEAD_REACH = 0.5

_HINT = 'Say what to change, such as "more tired", "less smile", "open the mouth a bit" or "no frown".'


@dataclass(frozen=True)
class Step:
    """One change: `operation` by `amount` (0 to 1) of what `phrase` shows.

    Without a phrase it is of what the face shows already, in `region` or everywhere. `side` limits it to what is on one
    side of the face.
    """

    operation: Operation
    amount: float
    phrase: str = ""
    region: str = ""
    side: str = ""


def read_adjustment(text: str) -> tuple[Step, ...]:
    """The steps that a text asks for, in order; at least one.

    Raises FacescriptError (`bad_adjustment`) that names the words which are not understood.
    """
    steps: list[Step] = []
    for clause in _clauses(text):
        steps += _steps(clause, steps[-1].operation if steps else None)
    if not steps:
        raise FacescriptError("bad_adjustment", "There is nothing to change.", _HINT)
    return tuple(steps)


def phrases(steps: Sequence[Step]) -> tuple[str, ...]:
    """What the poser is to read, each phrase once."""
    return tuple(dict.fromkeys(step.phrase for step in steps if step.phrase))


def phrases_brief(steps: Sequence[Step]) -> Brief:
    """The request's brief for `pose_each`: a beat a phrase, in the order of `phrases`, without a scene of its own."""
    return Brief("", beats=tuple(Beat(float(number), text) for number, text in enumerate(phrases(steps))))


def apply(pose: Pose, steps: Sequence[Step], phrase_poses: Mapping[str, Pose]) -> Pose:
    """The pose after all steps; `phrase_poses` holds the pose of each of `phrases(steps)`.

    Raises FacescriptError (`bad_adjustment`) if a phrase shows nothing on a face.
    """
    for step in steps:
        pose = _towards(pose, step, phrase_poses[step.phrase]) if step.phrase else _scaled(pose, step)
    return pose


# ---- Reading ---------------------------------------------------------------------------------------------------------


@cache
def _table() -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(_TABLE.read_text(encoding="utf-8")))


@cache
def _any_of(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_CUT = re.compile(r"\s*(?:[,;.!\n]|\b(?:and|but|then|yet|while)\b(?! to the\b))\s*")
_FILLER = re.compile(
    r"^(?:please|now|just|maybe|also|so|can you|could you|let's|let|make (?:it|him|her|them|the face|me)|"
    r"(?:it|he|she|they|the face|this) (?:should|could|must|needs to) (?:be|look|have)?|(?:be|look|looking|looks)"
    r"(?! (?:up|down|left|right|to|at|away|ahead|straight|forward|aside|over|sideways|far|a|slightly)\b)|"
    r"it's|it is|he's|she's)\s+"
)
_PERCENT = re.compile(r"\b(?:by )?(\d{1,3}) ?(?:%|percent\b)(?: of)?")
_COMPARES = re.compile(r"\b(?:much|way|far)\b(?= (?:more|less|fewer|too|\w+er)\b)")
_ARTICLES = re.compile(r"\b(?:the|a|an|his|her|their|its|of|some|so|very|any|all)\s+")
_SIDE = re.compile(r"\b(left|right)\b")


def _clauses(text: str) -> list[str]:
    found = []
    for piece in _CUT.split(" ".join(text.lower().replace("’", "'").split())):
        clause, before = piece, ""
        while clause != before:
            before, clause = clause, _FILLER.sub("", clause + " ").removesuffix(" please ").strip()
        if clause:
            found.append(clause)
    return found


def _steps(clause: str, before: Operation | None) -> list[Step]:
    table = _table()
    words, amount = _amount(clause)
    bare = _ARTICLES.sub("", words + " ").strip()
    region = next((name for name, names in table["regions"].items() if set(names) & set(bare.split())), "")
    side = _named_side(bare)
    if whole := _whole(bare):
        return [Step(whole, table["plain"] if amount is None else amount, region=_of(region), side=side)]
    if relaxed := re.match(rf"(?:{_any_of(tuple(table['relaxed']))})\w*\b", bare):
        rest = bare[relaxed.end() :].strip()
        return [Step("remove" if rest else "less", amount or (1.0 if rest else table["plain"]), "", _of(region), side)]
    for pattern, phrase in table["instead"].items():
        if found := re.match(pattern, bare):
            named = phrase.format(side=(found.groupdict().get("side") or "")) if "{" in phrase else phrase
            if named in table["regions"]:
                return [Step("remove", amount or 1.0, "", named)]
            return [Step("remove" if amount is None else "less", amount or 1.0, named, side=side)]
    operation, rest = _operation(bare)
    phrase = _phrase(rest)
    if operation is None:
        if not _known(rest):
            raise FacescriptError("bad_adjustment", f"{clause[:80]!r} is not understood.", _HINT)
        goes_on = before is not None and rest.split()[0] not in table["verbs"] and len(rest.split()) <= 2
        operation = before if goes_on and before else "add" if amount is None or amount >= 0.6 else "more"
    if not phrase:
        raise FacescriptError("bad_adjustment", f"{clause[:80]!r} does not say what to change.", _HINT)
    usual = 1.0 if operation in ("add", "remove") else table["plain"]
    return [Step(operation, usual if amount is None else amount, phrase, side=side)]


def _amount(clause: str) -> tuple[str, float | None]:
    """The clause without the words for how much, and how much it is, 0 to 1."""
    if found := _PERCENT.search(clause):
        return _without(clause, found), min(1.0, int(found[1]) / 100)
    if found := _COMPARES.search(clause):
        return _without(clause, found), 0.6
    if clause.startswith("too "):
        return clause, None
    amounts = _table()["amounts"]
    if found := re.search(rf"\b(?:{_any_of(tuple(amounts))})\b", clause):
        return _without(clause, found), float(amounts[found[0]])
    return clause, None


def _without(clause: str, found: re.Match[str]) -> str:
    return " ".join((clause[: found.start()] + clause[found.end() :]).split())


def _whole(bare: str) -> Operation | None:
    """What is done to all that a face, or a region of it, shows: "softer", "stronger brows"."""
    words = " ".join(word for word in bare.split() if word not in _region_words() and word not in ("left", "right"))
    found = _table()["whole"].get(words)
    return (
        cast(Operation, found) if found and (words == bare or words not in ("more", "less", "push", "reduce")) else None
    )


@cache
def _region_words() -> frozenset[str]:
    return frozenset(word for names in _table()["regions"].values() for word in names)


def _of(region: str) -> str:
    return "" if region == "face" else region


def _operation(bare: str) -> tuple[Operation | None, str]:
    table = _table()
    if found := re.match(r"too (?:much |many )?", bare):
        return "less", bare[found.end() :]
    if found := re.search(r" (more|less)$", bare):
        return cast(Operation, found[1]), bare[: found.start()]
    for operation, words in table["operations"].items():
        if found := re.match(rf"(?:{_any_of(tuple(words))})\b\s*", bare):
            return cast(Operation, operation), bare[found.end() :].removeprefix("with ")
    for word in bare.split():
        if base := _positive(word):
            return "more", re.sub(rf"\b{word}\b", base, bare)
    return None, bare


def _positive(word: str) -> str:
    """The plain form of a comparative ("angrier"), "" if it is none."""
    known = _table()["comparatives"]
    return str(known.get(word) or (f"{word[:-3]}y" if re.fullmatch(r"\w{3,}ier", word) else ""))


def _phrase(rest: str) -> str:
    table = _table()
    words = re.findall(r"[\w'-]+", rest)
    for kind in ("moods", "nouns"):
        for names, text in table[kind].items():
            if (
                words
                and words[0] in names.split("|")
                and len(words) == 1 + (words[-1] in ("face", "look", "expression"))
            ):
                return str(text)
    for pattern, text in table["said"].items():
        if found := re.fullmatch(pattern, rest.strip()):
            return str(text).format(*found.groups())
    if len(words) == 1 and not tells_of_face(rest):
        return f"a {rest} face"
    return rest.strip()


def _known(rest: str) -> bool:
    words = set(rest.split())
    moods = {name for names in _table()["moods"] for name in names.split("|")}
    return bool(tells_of_face(rest) or is_face_description(rest) or words & moods or words & set(_table()["verbs"]))


def _named_side(bare: str) -> str:
    """The side of the face that is named; a direction (look left, to the left) is none."""
    found = set(_SIDE.findall(bare))
    way = re.search(
        r"\b(?:to the|to|look|looks|turn|tilt|lean|far|further|gaze|head|glance|shift|move|pull) (?:left|right)", bare
    )
    return found.pop() if len(found) == 1 and not way else ""


# ---- Arithmetic ------------------------------------------------------------------------------------------------------

# Two channels that are one movement, there and back.
_AXES = (
    *((f"{part}Left", f"{part}Right") for part in ("mouth", "jaw")),
    *((f"eyeLookUp{side}", f"eyeLookDown{side}") for side in ("Left", "Right")),
    *((f"eyeLookOut{side}", f"eyeLookIn{side}") for side in ("Left", "Right")),
)
_ON_AXES = frozenset(name for axis in _AXES for name in axis)
_ANGLES = ("headYaw", "headPitch", "headRoll")


def _scaled(pose: Pose, step: Step) -> Pose:
    factor = 1.0 + step.amount if step.operation in ("more", "add") else 1.0 - step.amount
    values = pose.values.copy()
    for number, channel in enumerate(CHANNELS):
        if _in_region(channel.name, step.region) and _on_side(channel.name, step.side):
            values[number] *= factor
    return Pose.clipped(values)


def _in_region(name: str, region: str) -> bool:
    looks = name.startswith(("eyeLook", "leftEye", "rightEye"))
    if region == "gaze":
        return looks
    if region in ("lids", "eyes"):
        return not looks and CHANNELS[INDEX[name]].region == "eyes"
    return not region or CHANNELS[INDEX[name]].region == region


def _on_side(name: str, side: str) -> bool:
    paired = name not in _ON_AXES and not CHANNELS[INDEX[name]].is_angle
    return not (side and paired) or CHANNELS[INDEX[name]].side in (side, "middle")


def _towards(pose: Pose, step: Step, shown: Pose) -> Pose:
    """The pose after a step whose phrase is posed as `shown`."""
    plus = {axis[0]: axis[1] for axis in _AXES}
    names = [c.name for c in CHANNELS if not c.is_angle and c.name not in plus.values()] + list(_ANGLES)
    # One number a movement: what goes two ways is negative on the other.
    now, wanted = (
        np.array([found[name] - (found[plus[name]] if name in plus else 0.0) for name in names])
        for found in (pose, shown)
    )
    head = np.array([name in _ANGLES for name in names])
    wanted = np.where([_on_side(name, step.side) for name in names], wanted, 0.0)
    # A head's angle counts as much as a coefficient twice as large.
    seen = np.abs(wanted) * np.where(head, 2.0, 1.0)
    if seen.max() < _SEEN:
        raise FacescriptError("bad_adjustment", f"{step.phrase[:80]!r} shows nothing on a face.", _HINT)
    weight = seen / seen.max()
    weight = np.where((weight >= _CONCERNS[step.operation]) & (seen >= _SEEN), weight, 0.0)
    reach = np.where(head, _HEAD_REACH, 1.0)
    after = _moved(now, wanted, weight, step, reach)
    if step.operation == "add" and np.abs(after - now).max() < _SEEN / 2:
        # It is there already: who asks for it wants to see more of it.
        after = _moved(now, wanted, weight, replace(step, operation="more", amount=_table()["plain"]), reach)
    values = pose.values.copy()
    for name, old, new in zip(names, now, after, strict=True):
        if new == old:
            continue
        if name in plus:
            values[INDEX[name]], values[INDEX[plus[name]]] = max(0.0, new), max(0.0, -new)
        else:
            values[INDEX[name]] = new
    _give_way(values, pose.values, shown)
    return _with_eye_angles(values, pose)


def _moved(now: Array, wanted: Array, weight: Array, step: Step, reach: Array) -> Array:
    way = np.sign(wanted)
    along = now * way
    if step.operation == "more":
        # As far as there is room; back from the other way it is the same distance.
        moved = np.minimum(1.0, along + step.amount * weight * reach * np.clip(1.0 - along, 0.0, 1.0))
    elif step.operation == "add":
        moved = np.maximum(along, along + step.amount * (np.abs(wanted) - along))
    else:
        # What a phrase shows most goes by the whole amount, what it shows half as much by nearly that.
        share = np.minimum(1.0, 1.5 * weight) * step.amount
        moved = np.where(along > 0.0, along * (1.0 - share), along)
    return np.where(weight > 0.0, moved * way, now)


def _give_way(values: Array, before: Array, shown: Pose) -> None:
    """Lower what is opposed to a channel that has risen, unless the phrase shows both."""
    for one, other in _opponents():
        for risen, opposed in ((one, other), (other, one)):
            if values[INDEX[risen]] > before[INDEX[risen]] and shown[opposed] < _SEEN:
                values[INDEX[opposed]] = min(
                    values[INDEX[opposed]], before[INDEX[opposed]] * (1.0 - values[INDEX[risen]])
                )
    if values[INDEX["jawOpen"]] < before[INDEX["jawOpen"]]:
        # Lips are never kept together over less than the jaw is open.
        values[INDEX["mouthClose"]] = min(values[INDEX["mouthClose"]], values[INDEX["jawOpen"]])


@cache
def _opponents() -> tuple[tuple[str, str], ...]:
    found = []
    for one, other in _table()["opponents"]:
        for side in ("Left", "Right"):
            names = tuple(name if name in INDEX else name + side for name in (one, other))
            found.append(cast(tuple[str, str], names))
    return tuple(dict.fromkeys(found))


def _with_eye_angles(values: Array, before: Pose) -> Pose:
    """The pose with the angles of an eye that looks elsewhere now; those of the other one stay."""
    found = dict(zip((channel.name for channel in CHANNELS), values.tolist(), strict=True))
    for side in ("Left", "Right"):
        looks = [name for name in _ON_AXES if name.startswith("eyeLook") and name.endswith(side)]
        if any(found[name] != before[name] for name in looks):
            for angle in ("Yaw", "Pitch"):
                del found[f"{side.lower()}Eye{angle}"]
    return Pose.from_dict(cast(dict[str, object], found))
