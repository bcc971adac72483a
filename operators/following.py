# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the list of beats follow what the animator does in the Dope Sheet, the Graph Editor and with markers.

A timer looks every now and then whether keys or markers of the active face are elsewhere than before, which costs
little, and follows once they have come to rest. It never touches keys or markers while they are being dragged.

Following is a step of undo of its own, since Blender's undo leaves datablocks as they stand that were the same in the
step before: only what a step holds is brought back. Nobody asked for two steps, though: where undo or redo comes to a
file in which keys were dragged and not followed yet, it goes one step further.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent

from ..performance import FacescriptError
from ..rig_mapping import hand_edits, timeline
from ..rig_mapping.steps import Slices, Steps, finish, steadily
from . import desk, faces
from .held import Held
from .session import SLICE, dragging, redraw, session, told
from .undo import Direction, push_undo, travel

# Seconds between two looks: what was dragged has come along when the hand has left the mouse.
_REST = 0.3

# What is only looked at: it changes without a step of undo.
_SELECTED = frozenset(("rna_type", "active", "active_beat", "active_variation", "variations", "model"))
_NUMBERS = {"INT": np.int32, "FLOAT": np.float32, "BOOLEAN": np.bool_}
# How many states are remembered that undo and redo pass by: more than there are steps of undo by default.
_PASSED = 256


class Follower:
    """What was last seen of the active face, and the states that undo and redo do not stop at.

    `travelled` says that undo or redo has led here since the last look, and which; `travelling`, that it is this
    class that goes on with it now.
    """

    def __init__(self) -> None:
        self._seen: tuple[Any, ...] = ()
        self._settled: tuple[Any, ...] = ()
        self._left = b""
        self._passed: dict[bytes, None] = {}
        self.travelled: Direction | None = None
        self.travelling = False

    def forget(self) -> None:
        """Another file: nothing is known of it."""
        self._passed.clear()
        self.travelled = None

    def look(self) -> float:
        """Follow if something has changed, and is at rest since the last look; seconds until the next look."""
        if session().following is not None:
            self._go_on(session().following)
        else:
            self._begin()
        return 0.0 if session().following is not None and not dragging() else _REST

    @property
    def at_rest(self) -> bool:
        """Whether all that was seen last has been followed."""
        if self.travelled or session().following is not None:
            return False
        return bool(self._seen) and self._seen == self._settled

    def _begin(self) -> None:
        found, scene = faces.remembered(bpy.context), bpy.context.scene
        # After undo it is looked anew which face there is.
        if found is None or scene is None or _hands_on():
            return
        # Wherever it has led: with no face there is nothing to pass by, and later it is long ago.
        direction, self.travelled = self.travelled, None
        if found.target is None:
            return
        try:
            face = faces.settings_of(found.target)
            if not face.beats:
                return
            if direction and self._passed:
                state = finish(_state_steps(Held(found.target, scene)))
                if state in self._passed and self._travel(direction):
                    return
            now = _look_of(found.target, face, scene)
            at_rest, self._seen = now == self._seen, now
            if at_rest and now != self._settled:
                self._settled, self._left = now, b""
                held = Held(found.target, scene)
                session().following = Slices(self._following(held), held.sight)
        except FacescriptError as error:
            if error.code == "target_gone":
                # A bone or an object was renamed or removed: the face is found anew at the next look.
                faces.forget()
                return
            session().fail(error)
            redraw()

    def _travel(self, direction: Direction) -> bool:
        self.travelling = True
        try:
            return travel(direction)
        finally:
            self.travelling = False

    def _pass_by(self, state: bytes) -> None:
        self._passed[state] = None
        while len(self._passed) > _PASSED:
            del self._passed[next(iter(self._passed))]

    def _go_on(self, steps: Slices[None]) -> None:
        try:
            if dragging() or steps.advance(SLICE):
                return
        except Exception as error:  # Nothing may keep the list from following the next time.
            # Once: it is looked at again when something changes.
            session().fail(told(error))
        session().following = None
        self._close()
        redraw()

    def _following(self, held: Held) -> Steps[None]:
        begun = yield from steadily(lambda: _state_steps(held))
        yield from desk.read_steps(held.find()[0])
        face, scene = held.find()
        if not (yield from desk.follow_steps(desk.Desk.of(held.target, face, scene))):
            return
        if (yield from steadily(lambda: _state_steps(held))) != begun:
            self._left = begun

    def _close(self) -> None:
        """Close a step of undo, if anything has followed: undo and redo pass by what was there before."""
        if self._left:
            self._pass_by(self._left)
            push_undo("Follow Keys and Markers")


def _state_steps(held: Held) -> Steps[bytes]:
    """A digest of what a step of undo may be of: keys, markers, the list, settings, the mapping.

    In small steps, between which nothing may be changed. Raises FacescriptError (`target_gone`).
    """
    face, scene = held.find()
    owner = face.id_data
    digest = hashlib.blake2b(repr(owner.session_uid).encode(), digest_size=16)
    for group in (face, owner.facescript_mapping):
        for value in _values(group):
            digest.update(repr(value).encode())
            yield
    marked = sorted((marker.frame, marker.name) for marker in scene.timeline_markers)
    digest.update(repr(marked).encode())
    yield
    digest.update((yield from hand_edits.whole_fingerprint(held.target)))
    return digest.digest()


def _values(group: Any) -> Iterator[Any]:
    """All that a group of properties holds, property by property, as something whose text can be compared."""
    for field in group.bl_rna.properties:
        if field.identifier in _SELECTED:
            continue
        value = getattr(group, field.identifier)
        if field.type == "COLLECTION":
            yield len(value)
            yield from _columns(value, field.fixed_type)
        else:
            yield _plain(value)


def _columns(rows: Any, kind: Any) -> Iterator[Any]:
    """What the rows of a collection hold, a property at a time: Blender is asked for numbers once, not for each row."""
    for field in kind.properties:
        name = field.identifier
        if name in _SELECTED:
            continue
        if field.type in _NUMBERS:
            flat = np.empty(len(rows) * max(1, field.array_length), dtype=_NUMBERS[field.type])
            rows.foreach_get(name, flat)
            yield flat.tobytes()
        else:
            yield [_plain(getattr(row, name)) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, bpy.types.ID):
        return value.session_uid
    if isinstance(value, bpy.types.PropertyGroup):
        return list(_values(value))
    return tuple(value) if isinstance(value, bpy.types.bpy_prop_array) else value


def _look_of(target: Any, face: Any, scene: bpy.types.Scene) -> tuple[Any, ...]:
    """All that following depends on, as something that can be compared."""
    marked = tuple((m.frame, m.name) for m in scene.timeline_markers) if face.show_markers else ()
    listed = tuple((row.key, row.frame, row.locked, row.strength, *row.regions) for row in face.beats)
    fps = timeline.scene_fps(scene)
    return target.name, scene.name, fps, marked, listed, hand_edits.fingerprint(target)


def _hands_on() -> bool:
    """Whether something is being generated, dragged or played."""
    windows = bpy.context.window_manager.windows
    return session().busy or dragging() or any(window.screen.is_animation_playing for window in windows)


_follower = Follower()


def _tick() -> float:
    return _follower.look()


@persistent  # type: ignore[untyped-decorator]
def _before_saving(*_: Any) -> None:
    """A file holds lists that agree with their keys. A face of which that cannot be had says so once it is in hand."""
    for obj in bpy.data.objects:
        if obj.library is None and obj.facescript.beats:
            with suppress(FacescriptError):
                desk.bring_in_step(obj)


@persistent  # type: ignore[untyped-decorator]
def _after_undo(*_: Any) -> None:
    _arrive("undo")


@persistent  # type: ignore[untyped-decorator]
def _after_redo(*_: Any) -> None:
    _arrive("redo")


def _arrive(direction: Direction) -> None:
    """Look at once where undo or redo has led."""
    _follower.travelled = direction
    if not _follower.travelling and bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
        bpy.app.timers.register(_tick, persistent=True)


@persistent  # type: ignore[untyped-decorator]
def _after_loading(*_: Any) -> None:
    _follower.forget()


def _handlers() -> tuple[tuple[Any, Any], ...]:
    handlers = bpy.app.handlers
    return (
        (handlers.save_pre, _before_saving),
        (handlers.undo_post, _after_undo),
        (handlers.redo_post, _after_redo),
        (handlers.load_post, _after_loading),
    )


def register() -> None:
    """Begin to look."""
    for listed, handler in _handlers():
        listed.append(handler)
    if not bpy.app.background:
        bpy.app.timers.register(_tick, first_interval=_REST, persistent=True)


def unregister() -> None:
    """Undo `register`."""
    for listed, handler in _handlers():
        listed.remove(handler)
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
