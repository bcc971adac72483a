# SPDX-License-Identifier: GPL-3.0-or-later
"""What the life layer was made of, and what it has changed: kept on its action until it is removed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import bpy
from mathutils import Quaternion

from ..performance import FacescriptError
from . import blender_api as api
from .life import FULL, Amounts
from .records import Address
from .references import default_of
from .tables import Table

PROPERTY = "facescript_life"
# How Blender blends an action with what is below it.
_BLENDS = ("REPLACE", "COMBINE", "ADD", "SUBTRACT", "MULTIPLY")
_FAR = 1e6


@dataclass(frozen=True)
class Take:
    """What a layer is made of: its range of frames, seed and amounts."""

    start: int
    end: int
    seed: int
    amounts: Amounts


# Of a record that cannot be read.
NO_TAKE = Take(0, 0, 0, FULL)


@dataclass(frozen=True)
class LifeRecord:
    """One datablock's layer.

    `take`: what it was made of. What was before: `blend`, how the active action was blended;
    `made`, whether the animation data was made for the layer; `default`, the value that Blender, whose versions
    differ, took for a shape key's default; `before`, the values of the properties that only the layer animates.
    """

    take: Take = NO_TAKE
    blend: str = "REPLACE"
    made: bool = False
    default: float = 0.0
    before: Mapping[Address, float] = field(default_factory=dict)


def find_track(datablock: Any) -> Any:
    """The layer's NLA track on a datablock, or None: it is known by its action, whatever it is named."""
    animation = datablock.animation_data
    for track in animation.nla_tracks if animation is not None else ():
        if any(strip.action is not None and PROPERTY in strip.action for strip in track.strips):
            return track
    return None


def actions(track: Any) -> list[Any]:
    """The layer's actions on its track: one, unless its strip was split."""
    found = [s.action for s in track.strips if s.action is not None and PROPERTY in s.action]
    return list({action.as_pointer(): action for action in found}.values())


def load(datablock: Any) -> LifeRecord | None:
    """The record of a datablock, or None if it has no layer. One that cannot be read counts as an empty one."""
    track = find_track(datablock)
    if track is None:
        return None
    try:
        return _parse(actions(track)[0][PROPERTY])
    except (FacescriptError, TypeError, ValueError):
        return LifeRecord()


def _parse(text: Any) -> LifeRecord:
    """Read what `save` writes. Raises FacescriptError, TypeError or ValueError for anything else."""
    table = Table.parse(text, PROPERTY)
    table.only("start", "end", "seed", "amounts", "blend", "made", "default", "before")
    start, end, seed = (table.whole(name, -(2**31), 2**31 - 1) for name in ("start", "end", "seed"))
    amounts = [_finite(share) for share in table.data["amounts"]]
    before = {(str(path), int(index)): _finite(value) for path, index, value in table.data["before"]}
    blend = table.text("blend")
    if blend not in _BLENDS:
        raise table.error(f"has an unknown 'blend' {blend[:20]!r}")
    take = Take(start, end, seed, Amounts(*(min(max(share, 0.0), 1.0) for share in amounts)))
    return LifeRecord(take, blend, table.flag("made"), table.number("default", -_FAR, _FAR), before)


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("not a finite number")
    return float(value)


def save(action: Any, record: LifeRecord) -> None:
    """Keep a record on the layer's action."""
    take = record.take
    rows = [[path, index, value] for (path, index), value in record.before.items()]
    data = {"start": take.start, "end": take.end, "seed": take.seed, "amounts": astuple(take.amounts)}
    data |= {"blend": record.blend, "made": record.made, "default": record.default, "before": rows}
    action[PROPERTY] = json.dumps(data, separators=(",", ":"))


def standing(datablock: Any, path: str, index: int) -> float | None:
    """The value that a property had before the layer, if nothing but the layer animates it; else None."""
    record = load(datablock)
    return None if record is None else record.before.get((path, index))


def without(datablock: Any, path: str, indices: Sequence[int] | None) -> list[float]:
    """A property as it stands now, keyed or not, without what the layer adds to it at the current frame.

    The numbers at `indices` of an array, or the property's one number.
    """
    shown = datablock.path_resolve(path)
    chosen = [0] if indices is None else indices
    values = [float(shown)] if indices is None else [float(shown[i]) for i in chosen]
    track, record = find_track(datablock), load(datablock)
    scene: Any = bpy.context.scene
    if track is None or record is None or track.mute:
        return values
    curves = {c.array_index: c for strip in track.strips for c in api.strip_fcurves(strip) if c.data_path == path}
    if not set(chosen) <= set(curves):
        return values
    added = [float(curves[i].evaluate(scene.frame_current)) for i in chosen]
    before = [record.before.get((path, i)) for i in chosen]
    if path.endswith("quaternion"):
        turn = Quaternion(added)
        standing = [value for value in before if value is not None]
        if len(standing) == len(before):
            turn = turn @ Quaternion(standing).inverted()
        own: Any = turn.inverted() @ Quaternion(values)
        return [own.w, own.x, own.y, own.z]
    defaults = [record.default if datablock.id_type == "KEY" else default_of(datablock, path, i) for i in chosen]
    bases = [default if value is None else value for default, value in zip(defaults, before, strict=True)]
    return [value - (more - base) for value, more, base in zip(values, added, bases, strict=True)]
