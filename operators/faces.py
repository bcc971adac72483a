# SPDX-License-Identifier: GPL-3.0-or-later
"""Which face the user means, found once and remembered for drawing: finding it is too slow for every redraw."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..performance import FacescriptError
from ..rig_mapping import profiles
from ..rig_mapping.characters import rig_of
from ..rig_mapping.mapping import Mapping
from ..rig_mapping.references import ObjectRef
from ..rig_mapping.targets import Target, find_target
from . import mapping_table
from .session import redraw, session

# Why there is no face where a mapping by hand makes one.
_BY_HAND = ("no_arkit_keys", "no_face", "driven_keys", "empty_mapping")


@dataclass
class Found:
    """What was found for one selection: a face, or the reason why there is none; and where a mapping of it is kept."""

    key: tuple[Any, ...]
    target: Target | None = None
    error: FacescriptError | None = None
    owner: ObjectRef | None = None


class Memory:
    """The last selection that was looked at."""

    def __init__(self) -> None:
        self.found: Found | None = None


_memory = Memory()


def active_face(context: bpy.types.Context) -> tuple[Target, Any]:
    """The face of the active object, and its settings (`FACESCRIPT_PG_face`). Raises FacescriptError if none.

    For what is done with it: a channel that is only looked at is put back first.
    """
    session().put_back()
    target = find(context.view_layer.objects.active)
    return target, settings_of(target)


def find(obj: Any) -> Target:
    """The face that an object belongs to, with the mapping that is kept with it. Raises FacescriptError if none."""
    holder: Any = None

    def stored(members: list[Any]) -> Mapping | None:
        nonlocal holder
        holder = mapping_table.holder(members)
        return mapping_table.stored(holder, members) if holder is not None else None

    target = find_target(obj, stored)
    # Settings stay where they are, whichever object the rows begin with.
    return replace(target, owner=ObjectRef.of(holder)) if holder is not None else target


def find_owner(obj: Any) -> tuple[Target | None, Any]:
    """The face that an object belongs to, and the object that its mapping is kept on.

    Where nothing is recognised and a mapping by hand could make a face of it, that is the object itself. Raises
    FacescriptError if it could not.
    """
    try:
        target = find(obj)
    except FacescriptError as error:
        if not _mappable(obj, error):
            raise
        return None, obj
    return target, target.owner.find()


def _mappable(obj: Any, error: FacescriptError) -> bool:
    """Whether an object in which no face was found could be mapped by hand."""
    if error.code not in _BY_HAND:
        return False
    return obj.type == "ARMATURE" or (obj.type == "MESH" and obj.data.shape_keys is not None)


def find_automatic(obj: Any) -> Target:
    """The face as matching finds it, whatever is kept with it. Raises FacescriptError."""
    return find_target(obj)


def find_as_written(face: Any) -> Target:
    """The face with these settings, with the mapping that its keys were written with. Raises FacescriptError."""
    target = find_target(face.id_data, lambda members: mapping_table.written(face, members))
    return replace(target, owner=ObjectRef.of(face.id_data))


def others_of(target: Target) -> list[Any]:
    """The meshes of a face but the one that its settings are kept on."""
    found = []
    for mesh in target.meshes:
        with suppress(FacescriptError):  # it has gone
            found.append(mesh.object.find())
    return [obj for obj in found if ObjectRef.of(obj) != target.owner]


def members_of(owner: Any, target: Target | None) -> list[Any]:
    """The objects that show a face or could: those of its mapping, those that matching finds, and their armatures."""
    rows = list(target.mapping.rows) if target is not None else []
    with suppress(FacescriptError):  # all of its names may be its own
        rows += find_automatic(owner).mapping.rows
    objects = [owner, *(ref.find() for ref in dict.fromkeys(row.object for row in rows))]
    return list(dict.fromkeys([*objects, *(rig for rig in map(rig_of, objects) if rig is not None)]))


def target_of(obj: Any) -> Target:
    """The face that an object belongs to: as it was found last if nothing of it has changed, else found anew.

    Raises FacescriptError if there is none.
    """
    found = _memory.found
    known = found is not None and obj == bpy.context.view_layer.objects.active and found.key == _key(bpy.context)
    return found.target if known and found and found.target else find(obj)


def settings_of(target: Target) -> Any:
    """Where a face's script, beats and mapping are kept: on its owner."""
    return target.owner.find().facescript


def family_of(target: Target) -> str:
    """The name of the rig family that a face was mapped as; a profile of the user's has only its id."""
    if not target.profile:
        return "Unknown family"
    try:
        return profiles.get(target.profile).name
    except FacescriptError:
        return target.profile


def owner_of(found: Found) -> Any:
    """The object that the mapping of what was found is kept on, or None."""
    try:
        return found.owner.find() if found.owner is not None else None
    except FacescriptError:
        # Renamed or removed since it was found.
        return None


def remembered(context: bpy.types.Context) -> Found | None:
    """What is known of the active object's face; None for a moment after the selection changed.

    Cheap enough for drawing: it looks later, from a timer, and has the sidebar drawn again.
    """
    key = _key(context)
    if _memory.found is None or _memory.found.key != key:
        if not bpy.app.timers.is_registered(_look):
            bpy.app.timers.register(_look, first_interval=0.0)
        return None
    return _memory.found


def _key(context: bpy.types.Context) -> tuple[Any, ...]:
    obj = context.view_layer.objects.active
    if obj is None:
        return (None, len(context.scene.objects))
    keys = obj.data.shape_keys if obj.type == "MESH" else None
    place = (obj.name_full, obj.session_uid, obj.parent and obj.parent.name, len(context.scene.objects))
    if keys is None:
        return place
    drivers = len(keys.animation_data.drivers) if keys.animation_data else 0
    blocks = tuple((block.name, block.mute) for block in keys.key_blocks)
    return (*place, obj.data.session_uid, keys.use_relative, obj.show_only_shape_key, drivers, blocks)


def _look() -> None:
    found, obj = Found(_key(bpy.context)), bpy.context.view_layer.objects.active
    try:
        found.target = find(obj)
        found.owner = found.target.owner
    except FacescriptError as error:
        found.error = error
        found.owner = ObjectRef.of(obj) if _mappable(obj, error) else None
    _memory.found = found
    redraw()


@persistent  # type: ignore[untyped-decorator]
def forget(*_: Any) -> None:
    """Look again at the next redraw: after undo, loading and anything that changes meshes."""
    _memory.found = None


def register() -> None:
    """Forget on loading and undo."""
    for handlers in _handlers():
        handlers.append(forget)


def unregister() -> None:
    """Undo `register`."""
    forget()
    for handlers in _handlers():
        handlers.remove(forget)
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)


def _handlers() -> tuple[Any, ...]:
    return bpy.app.handlers.load_post, bpy.app.handlers.undo_post, bpy.app.handlers.redo_post
