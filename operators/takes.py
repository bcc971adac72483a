# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes of a face: performances to choose from, of which one is shown; the others wait with their keys and settings.

The face's own properties are those of the take that is shown. A take that waits keeps a copy of all of them, whatever
they are, and its keys in actions of their own (`rig_mapping.takes`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..performance import FacescriptError, beat_list, jsonl
from ..rig_mapping import curves, life_layer, nla, takes
from ..rig_mapping.steps import finish
from ..rig_mapping.takes import Store
from . import desk, faces, markers
from .desk import Desk
from .language import tip_
from .properties import FACESCRIPT_PG_face
from .session import busy_reason, session

_OURS = {"LIBRARY_OVERRIDABLE"}
# What a new take does not begin with.
_PERFORMED = ("beats", "active_beat", "model", "performed", "variations", "active_variation", "varied")


class FACESCRIPT_PG_take_keys(bpy.types.PropertyGroup):
    """The action in which a datablock's keys of a take wait."""

    owner: PointerProperty(type=bpy.types.ID, name="Datablock", description="What the keys are for", override=_OURS)
    action: PointerProperty(
        type=bpy.types.Action, name="Action", description="The action in which the keys wait", override=_OURS
    )


class FACESCRIPT_PG_take(bpy.types.PropertyGroup):
    """A take; what it holds is empty while it is the one that is shown."""

    name: StringProperty(name="Name", description="The take's name. Double-click to change it", override=_OURS)
    key: IntProperty(name="Number", description="The take's own number", options={"HIDDEN"}, override=_OURS)
    face: PointerProperty(type=FACESCRIPT_PG_face, name="Face", description="The face's settings and beats")
    keys: CollectionProperty(type=FACESCRIPT_PG_take_keys, override=_OURS | {"USE_INSERTION"})
    on_nla: BoolProperty(
        name="On the NLA", description="Whether NLA strips play its keys", options={"HIDDEN"}, override=_OURS
    )

    def stores(self) -> list[Store]:
        """The keys that wait; those of datablocks that are gone are left out."""
        return [Store(row.owner, row.action) for row in self.keys if row.owner is not None and row.action is not None]

    def keep(self, stores: list[Store]) -> None:
        """Remember where the keys wait."""
        self.keys.clear()
        for store in stores:
            row = self.keys.add()
            row.owner, row.action = store.datablock, store.action


class FACESCRIPT_PG_takes(bpy.types.PropertyGroup):
    """A face's takes; none as long as there is only the one."""

    rows: CollectionProperty(type=FACESCRIPT_PG_take, override=_OURS | {"USE_INSERTION"})
    active: IntProperty(name="Active Take", description="The take that is selected in the list", override=_OURS)
    shown: IntProperty(name="Shown", description="The number of the take that is shown", override=_OURS)
    before: IntProperty(name="Before", description="The number of the take that was shown before", override=_OURS)

    def index(self, key: int) -> int:
        """The place of the take with a number, or -1."""
        return next((i for i, row in enumerate(self.rows) if row.key == key), -1)

    def add(self, name: str = "") -> Any:
        """A row for another take, named after its number unless a name is given."""
        key = 1 + max((row.key for row in self.rows), default=0)
        row = self.rows.add()
        row.key, row.name = key, self.free_name(name or f"Take {key}")
        return row

    def free_name(self, wanted: str) -> str:
        """The name, or with a number if another take has it."""
        taken, name, number = {row.name for row in self.rows}, wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted} {number}"
        return name


def of_face(face: Any) -> Any:
    """The takes (`FACESCRIPT_PG_takes`) of the face with these settings."""
    return face.id_data.facescript_takes


def copy_group(source: Any, into: Any) -> None:
    """Give a property group all that another one of its type holds; what is not set there is not set here either."""
    for prop in source.bl_rna.properties:
        name = prop.identifier
        if name == "rna_type":
            continue
        value = getattr(source, name)
        if prop.type == "COLLECTION":
            rows = getattr(into, name)
            rows.clear()
            for row in value:
                copy_group(row, rows.add())
        elif isinstance(value, bpy.types.PropertyGroup):
            copy_group(value, getattr(into, name))
        elif not source.is_property_set(name):
            into.property_unset(name)
        elif not prop.is_readonly:
            setattr(into, name, value)


def show(at: Desk, index: int) -> None:
    """Show another take: keys, settings, beats and markers of the one that is shown wait, and its own come instead.

    All or nothing; raises FacescriptError as `rig_mapping.takes.exchange` does, and `take_on_nla`.
    """
    shelf = of_face(at.face)
    row, old = shelf.rows[index], shelf.rows[shelf.index(shelf.shown)]
    if row.key == old.key:
        return
    if row.on_nla:
        raise FacescriptError("take_on_nla", f"{row.name!r} is on the NLA.", "Press Edit Again to have its keys back.")
    kept = takes.exchange(at.target, old.name, row.stores())
    _put_away(at, old, kept)
    with session().quiet():
        copy_group(row.face, at.face)
        _empty(row)
    _shown(at, shelf, row.key)


def _put_away(at: Desk, row: Any, kept: list[Store]) -> None:
    """Have a take wait with all that the face holds."""
    finish(markers.remove(at.scene, at.face.beats))
    with session().quiet():
        copy_group(at.face, row.face)
        # Until it is shown again, others may take the names.
        for beat in row.face.beats:
            beat.marker = ""
        row.keep(kept)


def _empty(row: Any) -> None:
    """Take what a take holds from its row: it is shown, and the face has it."""
    row.property_unset("face")
    row.keys.clear()


def _shown(at: Desk, shelf: Any, key: int) -> None:
    shelf.before, shelf.shown, shelf.active = shelf.shown, key, shelf.index(key)
    if at.face.show_markers:
        with session().quiet():
            finish(markers.place(at.scene, lambda: at.face.beats))
    at.note = " ".join(finish(life_layer.follow(at.target)))
    faces.forget()


def begin(at: Desk, name: str = "") -> None:
    """Show a new take with the same script and settings, and without a performance."""
    shelf = of_face(at.face)
    kept = takes.exchange(at.target, shelf.rows[shelf.index(shelf.shown)].name)
    begin_at(at, shelf, kept, name)


def begin_at(at: Desk, shelf: Any, kept: list[Store], name: str = "") -> None:
    """`begin`, with the keys of the take that was shown put away already."""
    _put_away(at, shelf.rows[shelf.index(shelf.shown)], kept)
    with session().quiet():
        for performed in _PERFORMED:
            at.face.property_unset(performed)
    _shown(at, shelf, shelf.add(name).key)


def _claim(shelf: Any) -> None:
    """Give a face that was duplicated keys of its own: its takes wait in the actions of the original's until then."""
    # Blender's stubs do not know its properties.
    objects: Any = bpy.data.objects
    others = {
        key.action for obj in objects if obj != shelf.id_data for row in obj.facescript_takes.rows for key in row.keys
    }
    for row in shelf.rows:
        for key in row.keys:
            if key.action is not None and key.action in others and not row.on_nla:
                key.action = key.action.copy()


def shelf_of(at: Desk) -> Any:
    """The takes of a face that is open for an edit; the first one is listed now if none was."""
    at.face.check_editable()
    shelf = of_face(at.face)
    _claim(shelf)
    if shelf.index(shelf.shown) < 0:
        # The only one, or the row was lost by hand.
        shelf.shown = shelf.add().key
    if not 0 <= shelf.active < len(shelf.rows):
        shelf.active = shelf.index(shelf.shown)
    return shelf


class TakeOperator:
    """What the operators on takes share."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a generation is running."""
        if reason := busy_reason(context):
            cls.poll_message_set(tip_(reason))  # type: ignore[attr-defined]
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        return desk.edit(self, context, self._change, only_with_beats=False)

    def _change(self, at: Desk) -> str | None:
        kept = of_face(at.face)
        first = not len(kept.rows)
        try:
            return self.change(at, shelf_of(at))
        except FacescriptError:
            if first:
                # What is refused leaves nothing that undo does not know of.
                for name in ("rows", "active", "shown", "before"):
                    kept.property_unset(name)
            raise

    def change(self, at: Desk, shelf: Any) -> str | None:
        """Make the edit; what to tell the user, if anything."""
        raise NotImplementedError


class FACESCRIPT_OT_new_take(TakeOperator, bpy.types.Operator):
    """Begin another take with the same script and settings; the present one waits with its keys"""

    bl_idname = "facescript.new_take"
    bl_label = "New Take"

    name: StringProperty(name="Name", description="The new take's name", options={"SKIP_SAVE"})

    def change(self, at: Desk, shelf: Any) -> str | None:
        begin(at, self.name)
        return None


class FACESCRIPT_OT_duplicate_take(TakeOperator, bpy.types.Operator):
    """Copy the selected take with all its keys and beats. Of the one that is shown, the copy is shown from now on"""

    bl_idname = "facescript.duplicate_take"
    bl_label = "Duplicate Take"

    def change(self, at: Desk, shelf: Any) -> str | None:
        index = shelf.active
        name = shelf.rows[index].name
        if shelf.rows[index].key != shelf.shown:
            stores = takes.duplicated(shelf.rows[index].stores(), name)
            copy = shelf.add(name)
            with session().quiet():
                copy_group(shelf.rows[index].face, copy.face)
            copy.keep(stores)
            shelf.active = len(shelf.rows) - 1
            return None
        stores = takes.copied(at.target, name)
        with session().quiet():
            copy_group(at.face, shelf.rows[index].face)
        shelf.rows[index].keep(stores)
        shelf.before, shelf.shown = shelf.shown, shelf.add(name).key
        shelf.active = len(shelf.rows) - 1
        return None


class FACESCRIPT_OT_show_take(TakeOperator, bpy.types.Operator):
    """Show this take; the one that is shown waits with its keys, settings and beats"""

    bl_idname = "facescript.show_take"
    bl_label = "Show Take"

    index: IntProperty(
        name="Place", description="Its place in the list, from 0; -1 is the selected one", default=-1, min=-1
    )

    def change(self, at: Desk, shelf: Any) -> str | None:
        index = shelf.active if self.index < 0 else self.index
        if index >= len(shelf.rows):
            raise FacescriptError("no_take", f"There is no take {index + 1}.", "Choose one of the list.")
        show(at, index)
        return None


class FACESCRIPT_OT_flip_take(TakeOperator, bpy.types.Operator):
    """Go back and forth between this take and the one that was shown before, as one flips drawings"""

    bl_idname = "facescript.flip_take"
    bl_label = "Flip Takes"

    def change(self, at: Desk, shelf: Any) -> str | None:
        index = shelf.index(shelf.before)
        if index < 0 or shelf.before == shelf.shown:
            raise FacescriptError("no_take", "There is no other take to flip to.", "Make one with New Take.")
        show(at, index)
        return f"{shelf.rows[index].name} is shown."


class FACESCRIPT_OT_delete_take(TakeOperator, bpy.types.Operator):
    """Remove the selected take with its keys and beats; of the one that is shown, its neighbour is shown then"""

    bl_idname = "facescript.delete_take"
    bl_label = "Delete Take"

    def change(self, at: Desk, shelf: Any) -> str | None:
        index = shelf.active
        row = shelf.rows[index]
        if len(shelf.rows) == 1:
            raise FacescriptError("last_take", "This is the only take.", "Clear removes its performance.")
        if row.on_nla:
            raise FacescriptError("take_on_nla", f"{row.name!r} is on the NLA.", "Press Edit Again before.")
        key = row.key
        if key == shelf.shown:
            others = [i for i, other in enumerate(shelf.rows) if other.key != key and not other.on_nla]
            if not others:
                raise FacescriptError("last_take", "All other takes are on the NLA.", "Press Edit Again on one.")
            show(at, min(others, key=lambda i: abs(i - index)))
        takes.discard(shelf.rows[index].stores())
        shelf.rows.remove(index)
        shelf.active = shelf.index(shelf.shown)
        if shelf.before == key:
            shelf.before = shelf.shown
        return None


class FACESCRIPT_OT_append_take(TakeOperator, bpy.types.Operator):
    """Add the selected take's beats after the end of the take that is shown; they are keyed anew"""

    bl_idname = "facescript.append_take"
    bl_label = "Append Take"

    gap: FloatProperty(
        name="Gap", description="The time between the two", unit="TIME_ABSOLUTE", default=0.5, min=0.0, max=3600.0
    )

    def change(self, at: Desk, shelf: Any) -> str | None:
        row = shelf.rows[shelf.active]
        if row.key == shelf.shown:
            raise FacescriptError("same_take", "This take is the one that is shown.", "Select another one.")
        _ = at.index
        more = desk.beats_of(row.face)
        if not more:
            raise FacescriptError("no_keyframes", f"{row.name!r} has no beats.", "Select another take.")
        start = _end(at) + max(1, round(self.gap * at.fps))
        moved = beat_list.shifted(tuple(replace(b, key=0) for b in more), start - more[0].frame)
        brief = jsonl.brief_from_dict(jsonl.parse_object(row.face.performed or "{}"))
        own = at.brief
        at.brief = replace(own, script="\n".join(part for part in (own.script, brief.script) if part))
        at.write(beat_list.joined(at.beats, moved))
        return f"{len(more)} beats of {row.name!r} follow at frame {start}."


class FACESCRIPT_OT_place_on_nla(TakeOperator, bpy.types.Operator):
    """Make the selected take strips on tracks of the NLA editor, which can be moved, blended and layered"""

    bl_idname = "facescript.place_on_nla"
    bl_label = "Place on NLA"

    here: BoolProperty(
        name="At Current Frame", description="Begin at the current frame, not where the keys are", options={"SKIP_SAVE"}
    )
    blend_in: FloatProperty(name="Blend In", description="Frames in which the strip fades in", min=0.0, max=10_000.0)
    blend_out: FloatProperty(name="Blend Out", description="Frames in which the strip fades out", min=0.0, max=10_000.0)
    blend_type: EnumProperty(
        name="Blending",
        description="How the strip goes with what is below it",
        items=[
            ("REPLACE", "Replace", "The strip alone is seen"),
            ("COMBINE", "Combine", "Values are added, rotations turn further"),
            ("ADD", "Add", "All values are added"),
        ],
    )

    def change(self, at: Desk, shelf: Any) -> str | None:
        row = shelf.rows[shelf.active]
        key, name = row.key, row.name
        if row.on_nla:
            raise FacescriptError("take_on_nla", f"{name!r} is on the NLA already.", "Press Edit Again before.")
        shown = key == shelf.shown
        stores = takes.copied(at.target, name) if shown else row.stores()
        try:
            frame = at.scene.frame_current if self.here else (takes.span_of(stores) or (1.0, 1.0))[0]
            start, end = nla.place(stores, name, nla.Placing(frame, self.blend_in, self.blend_out, self.blend_type))
        except FacescriptError:
            if shown:
                takes.discard(stores)
            raise
        if shown:
            # The keys would hide the strips. They are in the copies now, which the strips play.
            takes.discard(takes.exchange(at.target, name))
            begin_at(at, shelf, stores)
        row = shelf.rows[shelf.index(key)]
        row.on_nla = True
        shelf.active = shelf.index(key)
        return f"{name!r} is on the NLA, frames {start:g} to {end:g}."


class FACESCRIPT_OT_edit_take_again(TakeOperator, bpy.types.Operator):
    """Take the strips of the selected take off the NLA and show it, with its keys as they were before"""

    bl_idname = "facescript.edit_take_again"
    bl_label = "Edit Again"

    def change(self, at: Desk, shelf: Any) -> str | None:
        row = shelf.rows[shelf.active]
        if not row.on_nla:
            raise FacescriptError("not_on_nla", f"{row.name!r} is not on the NLA.", "Show it in the list of takes.")
        key, left = row.key, shelf.shown
        empty = not at.beats and not takes.shows_keys(at.target)
        nla.remove(row.stores())
        row.on_nla = False
        show(at, shelf.index(key))
        if empty:
            shelf.rows.remove(shelf.index(left))
            shelf.active, shelf.before = shelf.index(key), key
        return None


def _end(at: Desk) -> int:
    """The last frame of the performance."""
    return curves.channel_curves(at.shown(at.beats), at.fps, at.beats[0].frame, at.style).end


_GROUPS = (FACESCRIPT_PG_take_keys, FACESCRIPT_PG_take, FACESCRIPT_PG_takes)

CLASSES = (
    FACESCRIPT_OT_new_take,
    FACESCRIPT_OT_duplicate_take,
    FACESCRIPT_OT_show_take,
    FACESCRIPT_OT_flip_take,
    FACESCRIPT_OT_delete_take,
    FACESCRIPT_OT_append_take,
    FACESCRIPT_OT_place_on_nla,
    FACESCRIPT_OT_edit_take_again,
)


def register() -> None:
    """Hang takes on objects; after the face's own properties are registered."""
    for cls in _GROUPS:
        bpy.utils.register_class(cls)
    owner: Any = bpy.types.Object
    owner.facescript_takes = PointerProperty(type=FACESCRIPT_PG_takes, override=_OURS)  # type: ignore[func-returns-value]


def unregister() -> None:
    """Undo `register`."""
    owner: Any = bpy.types.Object
    del owner.facescript_takes
    for cls in reversed(_GROUPS):
        bpy.utils.unregister_class(cls)
