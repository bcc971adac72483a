# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a mapping as a whole: what is missing filled in, and one side made from the other. Pure Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from ..performance import CHANNELS, INDEX
from ..performance.channels import MIRROR, Side
from .mapping import Mapping, MapRow

# Left and right in a name; what is no side (bright) has no other name that is there.
_SIDE = re.compile(r"left|right|左|右|(?<![a-z])[lr](?![a-z])|(?-i:(?<=[a-z0-9])[LR](?![A-Za-z0-9]))", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l", "左": "右", "右": "左"}

# What turns its sign in a mirrored pose, as in Blender's Paste X-Flipped Pose (pose_bone_do_paste in its
# pose_transform.cc).
_TURNED = {
    "location": (0,),
    "rotation_euler": (1, 2),
    "rotation_quaternion": (2, 3),
    "rotation_axis_angle": (2, 3),
}
# Left and right of these are directions: one control in the middle may show both.
_DIRECTIONS = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")


def other_side(name: str) -> tuple[str, ...]:
    """What a name may be called on the other side: with all of its sides exchanged, then with each one of them.

    Sides are left and right anywhere, and l and r between separators or, as a capital, at the end of a word. Names
    without a side have no other one.
    """
    found = list(_SIDE.finditer(name))
    whole = set(range(len(found)))
    choices = [whole, *({i} for i in whole)] if whole else []
    return tuple(dict.fromkeys(_exchanged(name, [found[i] for i in sorted(chosen)]) for chosen in choices))


def _exchanged(name: str, sides: Iterable[re.Match[str]]) -> str:
    parts, done = [], 0
    for match in sides:
        side = match[0]
        other = _OTHER[side.lower()]
        other = other.upper() if side.isupper() else other.capitalize() if side[0].isupper() else other
        parts += [name[done : match.start()], other]
        done = match.end()
    return "".join((*parts, name[done:]))


def filled(mapping: Mapping, found: Mapping) -> Mapping:
    """The mapping with the rows of `found` for channels that it does not show; a number that it uses for something
    else is left out."""
    shown = {row.channel for row in mapping.rows}
    used = {number(row) for row in mapping.rows}
    more = [row for row in found.rows if row.channel not in shown and number(row) not in used]
    return replace(mapping, rows=ordered((*mapping.rows, *more)))


def mirrored(mapping: Mapping, side: Side, there: Callable[[MapRow], bool]) -> tuple[Mapping, tuple[MapRow, ...]]:
    """The mapping with the other side's rows made from those of `side` ("left" or "right"), and the rows whose target
    has no twin there.

    `there` says whether a row's target exists. A channel whose rows all have a twin gets these instead of its own;
    one of which a row has none is left as it is.
    """
    made: dict[str, list[MapRow]] = {}
    failed: list[MapRow] = []
    for channel in CHANNELS:
        rows = [row for row in mapping.rows if row.channel == channel.name]
        if channel.side != side or not rows:
            continue
        twins = [_twin(row, there) for row in rows]
        failed += [row for row, twin in zip(rows, twins, strict=True) if twin is None]
        if all(twins):
            made[other_channel(channel.name)] = [twin for twin in twins if twin is not None]
    kept = [row for row in mapping.rows if row.channel not in made]
    rows = [row for twins in made.values() for row in twins]
    return replace(mapping, rows=ordered((*kept, *rows))), tuple(failed)


def other_channel(name: str) -> str:
    """The channel of the other side, or the same one if it has no side."""
    return CHANNELS[int(MIRROR[INDEX[name]])].name


def ordered(rows: Iterable[MapRow]) -> tuple[MapRow, ...]:
    """Rows in the channels' order."""
    return tuple(sorted(rows, key=lambda row: INDEX[row.channel]))


def number(row: MapRow) -> tuple[object, ...]:
    """What identifies the number that a row moves."""
    return row.kind, row.object, row.name, row.index


def _twin(row: MapRow, there: Callable[[MapRow], bool]) -> MapRow | None:
    """The row for the channel of the other side, on the twin of its target."""
    channel = other_channel(row.channel)
    gain = -row.gain if _turned(row) else row.gain
    low, high = (-row.high, -row.low) if _turned(row) else (row.low, row.high)
    offset = -row.offset if _turned(row) else row.offset
    new = replace(row, channel=channel, confidence=1.0, by_hand=True)
    flipped = replace(new, gain=gain, offset=offset, low=low, high=high)
    names = other_side(row.name)
    objects = [replace(row.object, name=name) for name in other_side(row.object.name)]
    # The same object first: a mesh has both sides, an eye or a bone in an armature of its own has not.
    choices = [replace(flipped, name=name) for name in names]
    choices += [replace(flipped, object=obj, name=name) for obj in objects for name in (row.name, *names)]
    if not names and row.channel in _DIRECTIONS and row.offset == 0.0:
        # A control in the middle: the other direction is the other way.
        return replace(new, gain=-row.gain) if row.kind == "PROPERTY" else None
    return next((choice for choice in choices if there(choice)), None)


def _turned(row: MapRow) -> bool:
    if row.kind != "PROPERTY" or not row.name.startswith("pose.bones["):
        return False
    return row.index in _TURNED.get(row.name.rpartition(".")[2], ())
