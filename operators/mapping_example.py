# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibration by example: the animator poses the face by hand, and says what it is: a full channel, or rest."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty

from ..performance import FacescriptError
from ..rig_mapping.standing import number
from .mapping import Bench, MappingOperator

# What is off by less was not posed.
_SEEN = 1e-4


class FACESCRIPT_OT_full_by_example(MappingOperator, bpy.types.Operator):
    """The face stands at the full shape of the selected channel: its gains become what stands there now"""

    bl_idname = "facescript.full_by_example"
    bl_label = "This Is Full"

    more: BoolProperty(
        name="Add Other Keys",
        description="Shape keys that stand away from 0 and belong to no channel yet become targets of this one too",
        options={"SKIP_SAVE"},
    )

    def change(self, bench: Bench) -> str | None:
        table, channel = bench.table, bench.row.channel
        rows = [row for row in table.rows if row.channel == channel and not row.empty and not row.gone]
        found = {place: number(row.read(), bench.target) - row.offset for place, row in enumerate(rows)}
        posed = [(rows[place], value) for place, value in found.items() if abs(value) > _SEEN]
        new = self._others(bench) if self.more else []
        if not posed and not new:
            what = f"Nothing that shows {channel} is posed."
            raise FacescriptError("not_posed", what, "Move its shape keys or controls to the full shape first.")
        kept = [_label(row, rows) for place, row in enumerate(rows) if abs(found[place]) <= _SEEN]
        changes = []
        for row, value in posed:
            changes.append(f"{_label(row, rows)} {row.gain:.2f} to {value:.2f}")
            row.gain, row.by_hand, row.confidence = value, True, 1.0
        # From here on, rows that were looked up before may be elsewhere.
        for obj, key, value in new:
            row = table.rows.add()
            row.channel, row.kind, row.object, row.name, row.gain, row.by_hand = channel, "KEY", obj, key, value, True
            changes.append(f"{key} {value:.2f}")
        table.sort()
        note = f"Full {channel}: {', '.join(changes)}."
        return f"{note} Not posed, and left as it was: {', '.join(kept)}." if kept else note

    @staticmethod
    def _others(bench: Bench) -> list[tuple[Any, str, float]]:
        used = {(row.object, row.name) for row in bench.table.rows if row.kind == "KEY"}
        keys = [(o, key) for o in bench.members if o.type == "MESH" and o.data.shape_keys for key in _keys(o)]
        return [(o, key.name, key.value) for o, key in keys if abs(key.value) > _SEEN and (o, key.name) not in used]


def _label(row: Any, rows: list[Any]) -> str:
    """What a row moves, with its object where that alone tells it from the others."""
    alone = sum(other.title == row.title for other in rows) == 1
    return str(row.title) if alone else f"{row.title} ({row.object.name})"


def _keys(obj: Any) -> Any:
    return obj.data.shape_keys.key_blocks[1:]


class FACESCRIPT_OT_rest_by_example(MappingOperator, bpy.types.Operator):
    """The face stands at rest: what shape keys and controls stand at now becomes the offsets of their rows"""

    bl_idname = "facescript.rest_by_example"
    bl_label = "This Is Rest"

    def change(self, bench: Bench) -> str | None:
        changes = []
        for row in bench.table.rows:
            # A bone's turn begins where the bone stands, whatever that is.
            if row.empty or row.gone or row.kind == "TURN":
                continue
            value = number(row.read(), bench.target)
            if abs(value - row.offset) > _SEEN:
                changes.append(f"{row.title} {row.offset:.2f} to {value:.2f}")
                row.offset, row.by_hand, row.confidence = value, True, 1.0
        if not changes:
            return "Every number stands at its offset already."
        return f"Offsets: {', '.join(dict.fromkeys(changes))}."


CLASSES = (FACESCRIPT_OT_full_by_example, FACESCRIPT_OT_rest_by_example)
