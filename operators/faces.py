# SPDX-License-Identifier: GPL-3.0-or-later
"""Which face the user means, found once and remembered for drawing: finding it is too slow for every redraw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..performance import FacescriptError
from ..rig_mapping.targets import Target, find_target
from .session import redraw


@dataclass
class Found:
    """What was found for one selection: a face, or the reason why there is none."""

    key: tuple[Any, ...]
    target: Target | None = None
    error: FacescriptError | None = None


class Memory:
    """The last selection that was looked at."""

    def __init__(self) -> None:
        self.found: Found | None = None


_memory = Memory()


def active_face(context: bpy.types.Context) -> tuple[Target, Any]:
    """The face of the active object, and its settings (`FACESCRIPT_PG_face`). Raises FacescriptError if none."""
    target = find_target(context.view_layer.objects.active)
    return target, settings_of(target)


def target_of(obj: Any) -> Target:
    """The face that an object belongs to: as it was found last if nothing of it has changed, else found anew.

    Raises FacescriptError if there is none.
    """
    found = _memory.found
    known = found is not None and obj == bpy.context.view_layer.objects.active and found.key == _key(bpy.context)
    return found.target if known and found and found.target else find_target(obj)


def settings_of(target: Target) -> Any:
    """Where a face's script and beats are kept: on its owner."""
    return target.owner.find().facescript


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
    found = Found(_key(bpy.context))
    try:
        found.target = find_target(bpy.context.view_layer.objects.active)
    except FacescriptError as error:
        found.error = error
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
