# SPDX-License-Identifier: GPL-3.0-or-later
"""A character's own mapping as it is kept in the file: a table on the object that has the face's settings.

Without rows, the mapping is found anew from names each time. Objects are pointers, so that they may be renamed and
appended. Beside the table, each performance remembers the mapping that its keys were written with (`mapped` of the
face's settings, and so of each take): where the two differ, the desk writes the keys anew.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import bpy
import numpy as np
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..performance import CHANNELS, INDEX
from ..rig_mapping.characters import rig_of, root_of
from ..rig_mapping.mapping import KINDS, Mapping, MapRow
from ..rig_mapping.profile_rows import stem
from ..rig_mapping.references import ObjectRef
from ..rig_mapping.standing import is_there
from .language import CONTEXT
from .session import session

_OURS = {"LIBRARY_OVERRIDABLE"}
# A limit that is this far away is none.
FAR = 1e6
# Rows that matching was less sure of are worth a look: see `rig_mapping.matching` for its scale.
SURE = 0.9

_KIND_ITEMS = [
    ("KEY", "Shape Key", "The value of a mesh's shape key"),
    ("PROPERTY", "Property", "Any number that can be animated, such as a control bone's location"),
    ("TURN", "Turn", "The rotation of a bone, or of the object itself, about an axis of the character"),
]
_AXIS_ITEMS = [
    ("YAW", "Yaw", "Positive to the character's left"),
    ("PITCH", "Pitch", "Positive up"),
    ("ROLL", "Roll", "Positive towards the character's left shoulder"),
]


def _edited(row: Any, context: bpy.types.Context) -> None:
    if session().quieted:
        return
    row.by_hand, row.confidence = True, 1.0
    _changed(row, context)


def _changed(row: Any, _: bpy.types.Context) -> None:
    # Not imported above: they need this table.
    from . import desk, faces

    if session().quieted:
        return
    _agree(row)
    faces.forget()
    if row.id_data.facescript.beats:
        desk.rewrite(row.id_data)


def _agree(row: Any) -> None:
    """Give the other rows of a number what all its rows have in common: offset and limits."""
    mine = row.number()
    with session().quiet():
        for other in row.id_data.facescript_mapping.rows if mine else ():
            if other != row and other.number() == mine:
                for name in ("offset", "limited", "low", "high"):
                    setattr(other, name, getattr(row, name))


def _selected(table: Any, _: bpy.types.Context) -> None:
    if not session().quieted:
        session().put_back()


def _channels(row: Any, context: bpy.types.Context, text: str) -> list[str]:
    return [channel.name for channel in CHANNELS]


def _number(name: str, description: str, default: float, end: float) -> Any:
    return FloatProperty(
        name=name,
        description=description,
        default=default,
        min=-end,
        max=end,
        soft_min=-2.0,
        soft_max=2.0,
        step=1,
        precision=3,
        update=_edited,
        override=_OURS,
    )


class FACESCRIPT_PG_map_row(bpy.types.PropertyGroup):
    """A channel's part in one number of the rig; without an object, a channel that nothing shows."""

    channel: StringProperty(
        name="Channel",
        description="The channel that is shown",
        search=_channels,
        search_options=set(),
        update=_edited,
        override=_OURS,
    )
    kind: EnumProperty(name="Kind", description="What it moves", items=_KIND_ITEMS, update=_edited, override=_OURS)
    object: PointerProperty(
        type=bpy.types.Object,
        name="Object",
        description="The mesh, the armature or another object",
        update=_edited,
        override=_OURS,
    )
    name: StringProperty(
        name="Name",
        description="The shape key, the bone (empty for the object itself), or the data path from the object",
        update=_edited,
        override=_OURS,
    )
    index: IntProperty(
        name="Index",
        description="In the array that the data path leads to: 0, 1 and 2 are X, Y and Z",
        min=0,
        max=15,
        update=_edited,
        override=_OURS,
    )
    axis: EnumProperty(
        name="Axis",
        description="The axis of the character, whichever way the bone is rolled",
        items=_AXIS_ITEMS,
        get=lambda self: min(2, self.index),
        set=lambda self, value: setattr(self, "index", value),
    )
    gain: FloatProperty(
        name="Gain",
        description="What a full channel adds, in the number's own unit; of a turn in degrees",
        default=1.0,
        min=-1000.0,
        max=1000.0,
        soft_min=-2.0,
        soft_max=2.0,
        step=1,
        precision=3,
        translation_context=CONTEXT,
        update=_edited,
        override=_OURS,
    )
    offset: _number("Offset", "Where the number stands when the face is at rest, in its own unit", 0.0, 1000.0)
    limited: BoolProperty(
        name="Limits", description="Keep the number within limits of its own", update=_edited, override=_OURS
    )
    low: _number("Lowest", "The number never goes below it, in its own unit", 0.0, FAR)
    high: _number("Highest", "The number never goes above it, in its own unit", 1.0, FAR)
    confidence: FloatProperty(
        name="Confidence",
        description="How sure the match is",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        options={"HIDDEN"},
        override=_OURS,
    )
    by_hand: BoolProperty(name="By Hand", description="Whether it was made by hand", options={"HIDDEN"}, override=_OURS)

    @property
    def empty(self) -> bool:
        """Whether it shows its channel with nothing yet, or with a kind that Blender reads from no sound file."""
        return self.object is None or self.kind not in KINDS or not (self.name or self.kind == "TURN")

    @property
    def gone(self) -> bool:
        """Whether the shape key, the bone or the property that it names is not there."""
        return not self.empty and not is_there(self.read())

    @property
    def unsure(self) -> bool:
        """Whether matching guessed it."""
        return not self.empty and not self.by_hand and self.confidence < SURE

    @property
    def title(self) -> str:
        """What it moves, in short."""
        if self.kind == "KEY":
            return str(self.name)
        if self.kind == "TURN":
            return f"{self.name or self.object.name} {self.axis.capitalize()}"
        names = re.findall(r'\["(.*?)"\]', self.name)
        prop = self.name.rpartition("]")[2].strip(".")
        value = self.object.path_resolve(self.name) if not self.gone else None
        axis = "XYZ"[self.index] if hasattr(value, "__len__") and len(value) == 3 else str(self.index)
        place = f"{prop} {axis}" if prop and hasattr(value, "__len__") else prop
        return " ".join(part for part in (*names, place) if part)

    def number(self) -> tuple[Any, ...]:
        """What identifies the number that it moves; empty if there is none."""
        return () if self.empty else (self.kind, self.object.name_full, self.name, self.index)

    def read(self) -> MapRow:
        """The row as matching, targets and timeline know it; only if it is not `empty`."""
        return MapRow(
            channel=self.channel,
            kind=self.kind,
            object=ObjectRef.of(self.object),
            name=self.name,
            index=min(max(self.index, 0), 15) if self.kind != "KEY" else 0,
            gain=_within(self.gain, 1000.0),
            offset=_within(self.offset, 1000.0),
            low=_plain(self.low) if self.limited and self.low > -FAR else -math.inf,
            high=max(_plain(self.low), _plain(self.high)) if self.limited and self.high < FAR else math.inf,
            confidence=_within(self.confidence, 1.0),
            by_hand=self.by_hand,
        )

    def write(self, row: MapRow) -> None:
        """Take a row over. Raises FacescriptError (`target_gone`) if its object is not there."""
        self.channel, self.kind, self.object, self.name = row.channel, row.kind, row.object.find(), row.name
        self.index, self.gain, self.offset = row.index, row.gain, row.offset
        self.limited = math.isfinite(row.low) or math.isfinite(row.high)
        if self.limited:
            self.low, self.high = max(-FAR, row.low), min(FAR, row.high)
        self.confidence, self.by_hand = row.confidence, row.by_hand


class FACESCRIPT_PG_mapping(bpy.types.PropertyGroup):
    """A character's own mapping; without rows, it is found from names."""

    profile: StringProperty(name="Profile", description="The rig family that it was matched with", override=_OURS)
    rows: CollectionProperty(type=FACESCRIPT_PG_map_row, override=_OURS | {"USE_INSERTION"})
    active: IntProperty(
        name="Active Row", description="The row that is selected in the table", update=_selected, override=_OURS
    )

    @property
    def row(self) -> Any:
        """The selected row, or None."""
        return self.rows[self.active] if 0 <= self.active < len(self.rows) else None

    def read(self) -> Mapping | None:
        """The mapping, or None if it is automatic."""
        rows = tuple(row.read() for row in self.rows if row.channel in INDEX and not row.empty)
        return Mapping(self.profile, rows) if rows else None

    def sort(self) -> None:
        """Put the rows into the channels' order, those of a channel as they are; the selected one stays selected."""
        order = sorted(range(len(self.rows)), key=lambda i: INDEX.get(self.rows[i].channel, len(INDEX)))
        active = order.index(self.active) if self.active in order else 0
        for place in range(len(order)):
            source = order[place]
            self.rows.move(source, place)
            order[place + 1 :] = [i + 1 if i < source else i for i in order[place + 1 :]]
        with session().quiet():
            self.active = active

    def write(self, mapping: Mapping | None, missing: Iterable[str] = ()) -> None:
        """Take a mapping over, channel by channel in their order, with an empty row for each of the `missing` ones."""
        with session().quiet():
            self.rows.clear()
            if mapping is None:
                return
            self.profile = mapping.profile
            mapped = {row.channel for row in mapping.rows}
            for one in mapping.rows:
                self.rows.add().write(one)
            for channel in missing:
                if channel not in mapped:
                    self.rows.add().channel = channel
        self.sort()
        self.active = min(self.active, max(0, len(self.rows) - 1))

    def channels(self) -> tuple[str, ...]:
        """The channels that are listed, each once."""
        return tuple(dict.fromkeys(row.channel for row in self.rows if row.channel in INDEX))

    def missing(self) -> tuple[str, ...]:
        """The channels of empty rows."""
        return tuple(row.channel for row in self.rows if row.empty)


def _plain(value: float) -> float:
    """The shortest decimal that single precision keeps as this: 0.7 rather than 0.699999988."""
    return float(str(np.float32(value)))


def _within(value: float, end: float) -> float:
    """The number within -end and end, 0 if it is none: Blender keeps to a property's limits when it is set, but takes
    what a file says."""
    return min(max(_plain(value), -end), end) if math.isfinite(value) else 0.0


def of_face(face: Any) -> Any:
    """The table (`FACESCRIPT_PG_mapping`) of the face with these settings."""
    return face.id_data.facescript_mapping


def holder(members: Sequence[Any]) -> Any:
    """The one of a character's objects on which its settings are kept: where a performance was kept last, else the
    first with a table that says something; None if there is neither.

    Two of them can hold a performance, such as a mesh and its duplicate on one rig; names do not tell which counts.
    """
    latest = max(members, key=lambda obj: obj.facescript.kept, default=None)
    if latest is not None and latest.facescript.kept > 0:
        return latest
    return next((obj for obj in members if obj.facescript_mapping.read() is not None), None)


def keep_before(owner: Any, others: Iterable[Any]) -> None:
    """Have the settings of an object count before those of others of its character."""
    most = max((other.facescript.kept for other in others), default=0)
    if owner.facescript.kept <= most:
        owner.facescript.kept = most + 1


def stored(obj: Any, members: Sequence[Any]) -> Mapping | None:
    """The mapping that is kept on an object for the character of these objects."""
    repoint(obj.facescript_mapping, members)
    return obj.facescript_mapping.read()  # type: ignore[no-any-return]


def written(face: Any, members: Sequence[Any]) -> Mapping | None:
    """The mapping that a face's keys were written with, or None if it was automatic."""
    repoint(face.mapped, members)
    return face.mapped.read()  # type: ignore[no-any-return]


def remapped(face: Any) -> bool:
    """Whether the mapping is kept otherwise than when the face's keys were written."""
    return bool(of_face(face).read() != face.mapped.read())


def same(one: Mapping, other: Mapping) -> bool:
    """Whether two mappings write the same keys, however sure they are of it."""
    return _effect(one) == _effect(other)


def _effect(mapping: Mapping) -> set[MapRow]:
    return {replace(row, confidence=1.0, by_hand=False) for row in mapping.rows}


def mark(face: Any, mapping: Mapping) -> None:
    """Note that the face's keys are written with a mapping: the table's, as a rule, or one that it had before."""
    table = of_face(face).read()
    # What is gone is in the table still.
    current = table is None or _effect(mapping) <= _effect(table)
    if not current or remapped(face):
        face.mapped.write(table if current else mapping)


class Kept:
    """A table as it was, to be brought back."""

    def __init__(self, table: Any) -> None:
        self._table, self._active, self._profile = table, table.active, table.profile
        names = [p.identifier for p in FACESCRIPT_PG_map_row.bl_rna.properties if not p.is_readonly]
        self._rows = [{name: getattr(row, name) for name in names if name != "axis"} for row in table.rows]

    def bring_back(self) -> None:
        """Have the table as it was."""
        with session().quiet():
            self._table.rows.clear()
            for values in self._rows:
                row = self._table.rows.add()
                for name, value in values.items():
                    setattr(row, name, value)
            self._table.active, self._table.profile = self._active, self._profile


def repoint(table: Any, members: Sequence[Any]) -> None:
    """Have the rows of a copied character point at its own objects: the twin, by name and type, of one that is not
    its own."""
    own = _family(members)
    for row in table.rows:
        obj = row.object
        if obj is None or obj in own:
            continue
        twins = [o for o in own if o.type == obj.type and stem(o.name) == stem(obj.name)]
        if len(twins) == 1:
            with session().quiet():
                row.object = twins[0]


def _family(members: Sequence[Any]) -> set[Any]:
    found: set[Any] = set(members)
    for obj in members:
        for top in (root_of(obj), rig_of(obj)):
            if top is not None:
                found |= {top, *top.children_recursive}
    return found


_CLASSES = (FACESCRIPT_PG_map_row, FACESCRIPT_PG_mapping)

assert tuple(item[0] for item in _KIND_ITEMS) == KINDS


def register() -> None:
    """Hang the table on objects; before the face's own properties are registered."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    owner: Any = bpy.types.Object
    owner.facescript_mapping = PointerProperty(type=FACESCRIPT_PG_mapping, override=_OURS)  # type: ignore[func-returns-value]


def unregister() -> None:
    """Undo `register`."""
    owner: Any = bpy.types.Object
    del owner.facescript_mapping
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
