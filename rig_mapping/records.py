# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of the keys that were written, kept with the F-curves: as JSON on their action.

On the action rather than on what it animates, so that it goes where the keys go: into copies, other files, the
NLA; and because custom properties made on a library override are not kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ..performance import FacescriptError
from .blender_api import Place
from .keys import Record
from .tables import Table

PROPERTY = "facescript_keys"
VERSION = 2

Address = tuple[str, int]


@dataclass(frozen=True)
class SlotRecord:
    """What was written to one datablock's F-curves.

    `made_action`: the name of the action if it was made for it, else empty; `made_slot`: whether the slot was.
    """

    made_action: str = ""
    made_slot: bool = False
    curves: dict[Address, Record] = field(default_factory=dict)


def _read_all(action: Any) -> dict[str, Any]:
    """The action's records by slot; an unreadable property counts as none: then all keys are the animator's."""
    try:
        return dict(_slots(action.get(PROPERTY, "{}")))
    # TypeError: a property that is no text and cannot be looked up.
    except (FacescriptError, TypeError):
        return {}


@lru_cache(maxsize=8)
def _slots(text: str) -> dict[str, Any]:
    """What the property's text holds; the same text is looked at many times."""
    table = Table.parse(text, PROPERTY)
    return table.table("slots").data if table.data.get("version") == VERSION else {}


def load(place: Place | None) -> SlotRecord:
    """The record of a place; empty if there is none."""
    if place is None:
        return SlotRecord()
    slots = _read_all(place.action)
    # A file from before slots: what was written then is in the action's only slot now.
    data: Any = slots.get(place.key) or slots.get("0")
    try:
        curves = {(str(path), int(index)): Record.from_json(row) for path, index, row in data["curves"]}
        return SlotRecord(str(data["action"]), bool(data["slot"]), curves)
    except (TypeError, ValueError, KeyError):
        return SlotRecord()


def save(place: Place, record: SlotRecord) -> None:
    """Store a place's record; one without curves is removed."""
    slots = _read_all(place.action)
    slots.pop("0", None)
    slots.pop(place.key, None)
    if record.curves:
        rows = [[path, index, row.to_json()] for (path, index), row in record.curves.items()]
        slots[place.key] = {"action": record.made_action, "slot": record.made_slot, "curves": rows}
    if slots:
        place.action[PROPERTY] = json.dumps({"version": VERSION, "slots": slots}, separators=(",", ":"))
    elif PROPERTY in place.action:
        del place.action[PROPERTY]
