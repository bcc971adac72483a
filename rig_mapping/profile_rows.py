# SPDX-License-Identifier: GPL-3.0-or-later
"""A mapping as a profile file's content, and a profile on a character's objects.

`channels` of a profile are shape keys with gains. What is more than that - a bone's turn, a control's property, a shape
key with an offset, with limits or with another gain on each mesh - is in `rows`: `channel`, `kind`, `role` (mesh,
armature or object), `object` (its name, which decides where several have that role), `name`, `index`, `gain`, `offset`
and, where there are limits, `low` and `high`, all as in `mapping.MapRow`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..performance import BLEND_SHAPES, INDEX, FacescriptError
from .characters import key_names
from .drivers import Drivers, Wanted
from .mapping import KINDS, Mapping, MapRow
from .mapping_edits import number, ordered
from .names import match_meshes
from .profiles import Profile
from .references import ObjectRef, driven_paths, key_path
from .standing import is_there
from .tables import Table

_ROLES = {"MESH": "mesh", "ARMATURE": "armature"}
_OTHER_ROLE = "object"
_FIELDS = ("channel", "kind", "role", "object", "name", "index", "gain", "offset")
# A gain in `channels` is within these; see `profiles.Shape`.
_MOST = 100.0
_FAR = 1e6
_NUMBERED = re.compile(r"\.\d{3,}$")


def to_profile(mapping: Mapping, name: str, source: str) -> dict[str, Any]:
    """The content of a profile's file, for `json`. Raises FacescriptError (`target_gone`)."""
    plain = _plain(mapping)
    channels: dict[str, list[dict[str, Any]]] = {}
    for row in mapping.rows:
        shape = {"shape": row.name, "gain": row.gain}
        if row in plain and shape not in channels.setdefault(row.channel, []):
            channels[row.channel].append(shape)
    rows = [_to_row(row) for row in mapping.rows if row not in plain]
    made: dict[str, Any] = {"id": slug(name), "name": name, "source": source, "exact": True}
    if not channels:
        # A profile without shape keys is a base of which nothing is left.
        made |= {"base": "arkit", "channels": {channel: [] for channel in BLEND_SHAPES}}
    else:
        made["channels"] = channels
    return made | ({"rows": rows} if rows else {})


def slug(name: str) -> str:
    """A name as a file's and a profile's id: small letters, digits and underscores."""
    return re.sub(r"\W+", "_", name.casefold()).strip("_") or "profile"


def stem(name: str) -> str:
    """A name without Blender's number."""
    return _NUMBERED.sub("", name)


def _plain(mapping: Mapping) -> set[MapRow]:
    """The rows that a shape key's name and its gain say all of: no offset, no limits, the same on each mesh."""
    gains: dict[tuple[str, str], set[float]] = {}
    keys = [row for row in mapping.rows if row.kind == "KEY"]
    for row in keys:
        gains.setdefault((row.channel, row.name), set()).add(row.gain)
    return {
        row
        for row in keys
        if row.channel in BLEND_SHAPES
        and row.offset == 0.0
        and (row.low, row.high) == (-math.inf, math.inf)
        and abs(row.gain) <= _MOST
        and len(gains[row.channel, row.name]) == 1
    }


def _role(obj: Any) -> str:
    return _ROLES.get(obj.type, _OTHER_ROLE)


def _to_row(row: MapRow) -> dict[str, Any]:
    made: dict[str, Any] = {"channel": row.channel, "kind": row.kind, "role": _role(row.object.find())}
    made |= {"object": row.object.name, "name": row.name, "index": row.index, "gain": row.gain, "offset": row.offset}
    return made | {name: value for name, value in (("low", row.low), ("high", row.high)) if math.isfinite(value)}


def on_character(
    profile: Profile, members: Sequence[Any], objects: Sequence[Any], place: str
) -> tuple[Mapping, tuple[str, ...]]:
    """A profile on a character of these objects: its mapping, and the channels of `rows` that have no target there.

    `objects` are the scene's, to find controls among; `place` is the file's name, for errors. Raises FacescriptError:
    `bad_table` if `rows` are wrong, `no_match` if nothing of the profile is there.
    """
    asked = [_checked(Table(dict(row), f"{place}: rows[{i}]")) for i, row in enumerate(profile.rows)]
    found: dict[tuple[object, ...], MapRow] = {}
    lost = []
    for table in asked:
        placed = _placed(table, members)
        lost += [] if placed else [str(table.data["channel"])]
        for row in placed:
            found.setdefault((row.channel, *number(row)), row)
    for row in _shapes(profile, members, objects):
        found.setdefault((row.channel, *number(row)), row)
    if not found:
        what = f"Nothing of {profile.name!r} is on this face."
        raise FacescriptError("no_match", what, "Choose the profile of its rig family.")
    return Mapping(profile.id, ordered(found.values())), tuple(dict.fromkeys(lost))


def _shapes(profile: Profile, members: Iterable[Any], objects: Sequence[Any]) -> list[MapRow]:
    """What a profile's shapes are on a character's meshes: shape keys, or the controls that drive them."""
    meshes = [obj for obj in members if key_names(obj)]
    rows = []
    for obj, match in zip(meshes, match_meshes(list(map(key_names, meshes)), profile), strict=True):
        for channel, shapes in profile.channels.items():
            for shape in shapes:
                # A key of just that name first, whatever its name looks like (B.001).
                own = shape.name in key_names(obj)
                sure = 1.0 if own else match.confidence.get(shape.name, 0.0)
                for key in (shape.name,) if own else match.keys.get(shape.name, ()):
                    gain = shape.gain * profile.full
                    rows.append(MapRow(channel, "KEY", ObjectRef.of(obj), key, gain=gain, confidence=sure))
    return _by_controls(rows, objects)


def _by_controls(rows: list[MapRow], objects: Sequence[Any]) -> list[MapRow]:
    """Rows with the controls of driven keys in these keys' places; those of keys without one are left out."""
    driven = {ref: driven_paths(ref.find().data.shape_keys) for ref in dict.fromkeys(row.object for row in rows)}
    asked = {
        row: Wanted(row.object.find(), row.name, abs(row.gain))
        for row in rows
        if (key_path(row.name), 0) in driven[row.object]
    }
    controls = Drivers(objects).follow(list(asked.values()))
    found = []
    for row in rows:
        if row not in asked:
            found.append(row)
        elif asked[row] in controls:
            by = controls[asked[row]]
            gain = math.copysign(by.gain, by.gain * row.gain)
            place: dict[str, Any] = {
                "kind": "PROPERTY",
                "object": ObjectRef.of(by.object),
                "name": by.name,
                "index": by.index,
            }
            found.append(replace(row, **place, gain=gain, offset=by.rest, low=by.low, high=by.high))
    return found


def _checked(table: Table) -> Table:
    """A row whose fields are right. Raises FacescriptError (`bad_table`)."""
    table.only(*_FIELDS, optional=("low", "high"))
    for name, known in (("channel", tuple(INDEX)), ("kind", KINDS), ("role", (*_ROLES.values(), _OTHER_ROLE))):
        if table.text(name) not in known:
            raise table.error(f"has an unknown {name} {table.data[name]!r}")
    table.text("object")
    if not isinstance(table.data["name"], str):
        raise table.error("needs text in 'name'")
    for name in ("gain", "offset", "low", "high"):
        if name in table.data:
            table.number(name, -_FAR, _FAR)
    table.whole("index", 0, 15)
    return table


def _placed(table: Table, members: Iterable[Any]) -> list[MapRow]:
    """The row on the character's objects of its role that have what it names: on the one of its name if there is one;
    else a shape key on every mesh, and anything else on the first."""
    data = table.data
    ends = {name: float(data[name]) for name in ("low", "high") if name in data}
    rows = [
        MapRow(
            data["channel"],
            data["kind"],
            ObjectRef.of(obj),
            data["name"],
            int(data["index"]),
            float(data["gain"]),
            float(data["offset"]),
            by_hand=True,
            **ends,
        )
        for obj in members
        if _role(obj) == data["role"]
    ]
    rows = [row for row in rows if is_there(row)]
    named = [row for row in rows if stem(row.object.name) == stem(data["object"])]
    return named[:1] or (rows if data["kind"] == "KEY" else rows[:1])
