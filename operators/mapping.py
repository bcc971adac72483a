# SPDX-License-Identifier: GPL-3.0-or-later
"""The mapping by hand: the automatic one as a table, its rows, what is missing filled in, one side from the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..performance import BLEND_SHAPES, HEAD_CHANNELS, INDEX, FacescriptError
from ..rig_mapping import mapping_edits
from ..rig_mapping.mapping import PITCH, ROLL, YAW, Mapping, MapRow
from ..rig_mapping.standing import is_there
from ..rig_mapping.targets import Target
from . import desk, faces, mapping_table
from .language import rpt_, tip_
from .session import busy_reason, redraw, session

_SIDES = [
    ("left", "Left to Right", "The right side's rows are made from the left side's"),
    ("right", "Right to Left", "The left side's rows are made from the right side's"),
]
# The channels of a table for a face of which nothing was recognised.
_FIRST = (*BLEND_SHAPES, *HEAD_CHANNELS)
# The axis and the degrees of a full channel, for a bone that is chosen by hand: by the channel's name, else its end.
_TURNS = {
    "jawOpen": (PITCH, -25.0),
    "jawLeft": (YAW, 7.5),
    "jawRight": (YAW, -7.5),
    "eyeLookInLeft": (YAW, -35.0),
    "eyeLookOutLeft": (YAW, 35.0),
    "eyeLookInRight": (YAW, 35.0),
    "eyeLookOutRight": (YAW, -35.0),
    "eyeLookDownLeft": (PITCH, -35.0),
    "eyeLookDownRight": (PITCH, -35.0),
    "headYaw": (YAW, 45.0),
    "headPitch": (PITCH, 45.0),
    "headRoll": (ROLL, 45.0),
    "Yaw": (YAW, 35.0),
    "Roll": (ROLL, 35.0),
    "": (PITCH, 35.0),
}
# What there is to choose from: Blender keeps no reference to the texts of an enumeration that is made when it is shown.
_items: list[tuple[str, str, str]] = []
_offered_of: faces.Found | None = None


@dataclass(frozen=True)
class Bench:
    """A table that is open for an edit: the object that it is kept on, and the face, if there is one already."""

    owner: Any
    target: Target | None
    table: Any

    @property
    def members(self) -> list[Any]:
        """The objects that show the face or could."""
        return faces.members_of(self.owner, self.target)

    @property
    def row(self) -> Any:
        """The selected row. Raises FacescriptError (`no_channel`)."""
        if self.table.row is None:
            raise FacescriptError("no_channel", "No row is selected.", "Select a row of the table.")
        return self.table.row

    @property
    def mapping(self) -> Mapping:
        """The rows that have a target."""
        return self.table.read() or Mapping(self.table.profile, ())

    def fill(self, mapping: Mapping) -> None:
        """Have the table hold a mapping, with empty rows for the channels that it does not show."""
        known = self.table.channels()
        if not known:
            known = (*self.target.covered, *self.target.missing) if self.target else _FIRST
        self.table.write(mapping, known)


class MappingOperator:
    """What the operators on the table share: they are grey without a table, and leave everything as it was if they
    fail."""

    bl_options = {"REGISTER", "UNDO"}
    needs_table = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a table, as far as it is known without searching the scene."""
        reason = busy_reason(context)
        found = None if bpy.app.background else faces.remembered(context)
        if not reason and found is not None:
            owner = faces.owner_of(found)
            if owner is None:
                reason = str(found.error)
            elif cls.needs_table and not len(owner.facescript_mapping.rows):
                reason = "The mapping is automatic. Press Edit Mapping first"
        if reason:
            cls.poll_message_set(tip_(reason))  # type: ignore[attr-defined]
        return not reason

    def execute(self, context: bpy.types.Context) -> set[Any]:
        return edit(self, context, self.change, self.needs_table)

    def change(self, bench: Bench) -> str | None:
        """Make the edit; what to tell the user, if anything."""
        raise NotImplementedError


def edit(
    operator: Any, context: bpy.types.Context, change: Callable[[Bench], str | None], needs_table: bool = True
) -> set[Any]:
    """Carry an edit of the active face's table out for an operator, and have the keys follow; all or nothing."""
    kept: mapping_table.Kept | None = None
    try:
        session().settle()
        target, owner = faces.find_owner(context.view_layer.objects.active)
        owner.facescript.check_editable()
        bench = Bench(owner, target, owner.facescript_mapping)
        if needs_table and not len(bench.table.rows):
            raise FacescriptError("no_mapping", "This face's mapping is automatic.", "Press Edit Mapping first.")
        kept = mapping_table.Kept(bench.table)
        with session().quiet():
            note = change(bench)
        written = _follow(context, owner)
    except FacescriptError as error:
        if kept is not None:
            kept.bring_back()
        faces.forget()
        session().fail(error)
        operator.report({"ERROR"}, rpt_(str(error)))
        return {"CANCELLED"}
    session().error = None
    session().note = " ".join(part for part in (note, written) if part)
    if session().note:
        operator.report({"INFO"}, rpt_(session().note))
    redraw()
    return {"FINISHED"}


def _follow(context: bpy.types.Context, owner: Any) -> str:
    """Look at the face anew, and have its keys follow the mapping; what to tell the user of it."""
    faces.forget()
    return desk.of_object(owner, context.scene).note if owner.facescript.beats else ""


class FACESCRIPT_OT_edit_mapping(MappingOperator, bpy.types.Operator):
    """Copy the automatic mapping into a table that can be changed, and that is kept with the character"""

    bl_idname = "facescript.edit_mapping"
    bl_label = "Edit Mapping"
    needs_table = False

    def change(self, bench: Bench) -> str | None:
        if not len(bench.table.rows):
            bench.fill(bench.target.mapping if bench.target else Mapping("", ()))
        return None


class FACESCRIPT_OT_automatic_mapping(MappingOperator, bpy.types.Operator):
    """Throw the table away: the mapping is found from names again"""

    bl_idname = "facescript.automatic_mapping"
    bl_label = "Back to Automatic"

    def change(self, bench: Bench) -> str | None:
        bench.table.write(None)
        return None


class FACESCRIPT_OT_add_map_row(MappingOperator, bpy.types.Operator):
    """Add a target to the selected channel: another shape key, bone or property that shows it"""

    bl_idname = "facescript.add_map_row"
    bl_label = "Add Target"

    channel: StringProperty(
        name="Channel", description="The channel; if not given, the selected one", options={"SKIP_SAVE"}
    )

    def change(self, bench: Bench) -> str | None:
        table, channel = bench.table, self.channel or bench.row.channel
        if channel not in INDEX:
            raise FacescriptError("no_channel", f"There is no channel {channel!r}.", "Select a row of the table.")
        row = table.rows.add()
        row.channel, row.by_hand = channel, True
        table.active = len(table.rows) - 1
        table.sort()
        return None


class FACESCRIPT_OT_remove_map_row(MappingOperator, bpy.types.Operator):
    """Remove the selected target; a channel whose last target goes stays in the table without one"""

    bl_idname = "facescript.remove_map_row"
    bl_label = "Remove Target"

    def change(self, bench: Bench) -> str | None:
        table, channel = bench.table, bench.row.channel
        table.rows.remove(table.active)
        if channel in INDEX and channel not in table.channels():
            table.rows.add().channel = channel
            table.active = len(table.rows) - 1
            table.sort()
        table.active = min(table.active, len(table.rows) - 1)
        return None


class FACESCRIPT_OT_duplicate_map_row(MappingOperator, bpy.types.Operator):
    """Copy the selected row, to send its channel to another target as well"""

    bl_idname = "facescript.duplicate_map_row"
    bl_label = "Duplicate Row"

    def change(self, bench: Bench) -> str | None:
        table = bench.table
        if bench.row.empty:
            raise FacescriptError("no_target", f"{bench.row.channel} has no target yet.", "Give the row one first.")
        copy = table.rows.add()
        # Adding a row may have moved the others in memory.
        copy.write(table.row.read())
        copy.by_hand, copy.confidence = True, 1.0
        table.active = len(table.rows) - 1
        table.sort()
        return None


def _choices(operator: Any, context: bpy.types.Context) -> list[tuple[str, str, str]]:
    """What a row can move: everything on the face's own objects."""
    global _offered_of
    # A window asks again with every letter that is typed.
    found = None if bpy.app.background else faces.remembered(context)
    if found is not None and found is _offered_of:
        return _items
    _offered_of = found
    _items.clear()
    try:
        target, owner = faces.find_owner(context.view_layer.objects.active)
        _items.extend(_offered(faces.members_of(owner, target)))
    except FacescriptError:
        pass  # executing tells
    return _items


def _offered(members: list[Any]) -> Iterator[tuple[str, str, str]]:
    for obj in members:
        keys = obj.data.shape_keys if obj.type == "MESH" else None
        for block in keys.key_blocks[1:] if keys is not None else ():
            yield _item("KEY", obj, block.name, 0, f"{block.name}  ({obj.name})")
    bones = [(rig, bone) for rig in members if rig.pose is not None for bone in rig.pose.bones]
    for rig, bone in bones:
        yield _item("TURN", rig, bone.name, 0, f"{bone.name} turn  ({rig.name})")
    for rig, bone in bones:
        path = f"{_bone_path(bone)}.location"
        for index, axis in enumerate("XYZ"):
            yield _item("PROPERTY", rig, path, index, f"{bone.name} location {axis}  ({rig.name})")
    for obj in members:
        for path, owner in (("", obj), *((_bone_path(bone), bone) for bone in (obj.pose.bones if obj.pose else ()))):
            for name, value in owner.items():
                if isinstance(value, (int, float)):
                    full = f'{path}["{bpy.utils.escape_identifier(name)}"]'
                    yield _item("PROPERTY", obj, full, 0, f"{name}  ({owner.name})")


def _bone_path(bone: Any) -> str:
    return f'pose.bones["{bpy.utils.escape_identifier(bone.name)}"]'


def _item(kind: str, obj: Any, name: str, index: int, title: str) -> tuple[str, str, str]:
    # A tab is in no name.
    return "\t".join((kind, obj.name, name, str(index))), title, ""


class FACESCRIPT_OT_pick_map_target(MappingOperator, bpy.types.Operator):
    """Choose what shows the channel: a shape key, a bone or a property of this character"""

    bl_idname = "facescript.pick_map_target"
    bl_label = "Choose Target"
    bl_property = "target"

    target: EnumProperty(
        name="Target",
        description="Kind, object, name and index, with tabs between them",
        items=_choices,
        options={"SKIP_SAVE"},
    )
    index: IntProperty(
        name="Place",
        description="The row's place, from 0; -1 is the selected one",
        default=-1,
        min=-1,
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:
        context.window_manager.invoke_search_popup(self)
        return {"RUNNING_MODAL"}

    def change(self, bench: Bench) -> str | None:
        if self.index >= len(bench.table.rows):
            raise FacescriptError("no_channel", f"There is no row {self.index + 1}.", "Select one of the table.")
        if self.index >= 0:
            bench.table.active = self.index
        row = bench.row
        row.kind, name, row.name, index = self.target.split("\t")
        row.object, row.index = bpy.data.objects[name], int(index)
        row.by_hand, row.confidence = True, 1.0
        if row.kind == "TURN":
            row.index, full = next(turn for end, turn in _TURNS.items() if row.channel.endswith(end))
            # A gain that was set stays.
            row.gain = full if row.gain == 1.0 else row.gain
        return None


class FACESCRIPT_OT_fill_mapping(MappingOperator, bpy.types.Operator):
    """Find targets by names for the channels that have none; rows that are there stay as they are"""

    bl_idname = "facescript.fill_mapping"
    bl_label = "Auto-Fill"

    def change(self, bench: Bench) -> str | None:
        before = bench.mapping
        filled = mapping_edits.filled(before, faces.find_automatic(bench.owner).mapping)
        bench.fill(filled)
        missing = len(bench.table.missing())
        return f"{len(filled.rows) - len(before.rows)} rows were filled in; {missing} channels have no target."


class FACESCRIPT_OT_mirror_mapping(MappingOperator, bpy.types.Operator):
    """Make the rows of one side from those of the other, by the names of shape keys, bones and objects"""

    bl_idname = "facescript.mirror_mapping"
    bl_label = "Mirror a Side"

    side: EnumProperty(name="Direction", description="Which side is made from which", items=_SIDES)

    def change(self, bench: Bench) -> str | None:
        mirrored, failed = mapping_edits.mirrored(bench.mapping, self.side, _is_there)
        bench.fill(mirrored)
        if not failed:
            return None
        names = ", ".join(dict.fromkeys(row.channel for row in failed))
        return f"Without a twin on the other side, and left as they were: {names}."


def _is_there(row: MapRow) -> bool:
    return (row.object.name, row.object.library) in bpy.data.objects and is_there(row)


CLASSES = (
    FACESCRIPT_OT_edit_mapping,
    FACESCRIPT_OT_automatic_mapping,
    FACESCRIPT_OT_add_map_row,
    FACESCRIPT_OT_remove_map_row,
    FACESCRIPT_OT_duplicate_map_row,
    FACESCRIPT_OT_pick_map_target,
    FACESCRIPT_OT_fill_mapping,
    FACESCRIPT_OT_mirror_mapping,
)
