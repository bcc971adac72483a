# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the list of beats follow what the animator does in the Dope Sheet, the Graph Editor and with markers.

A timer looks every now and then whether keys or markers of the active face are elsewhere than before, which costs
little, and follows once they have come to rest. It never touches keys or markers while they are being dragged.
No step of undo is made of it: what follows is decided by what was changed, so undo and redo lead to the same state.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..performance import FacescriptError
from ..rig_mapping import hand_edits, timeline
from ..rig_mapping.steps import Slices, Steps, finish
from . import desk, faces, markers
from .held import Held
from .session import SLICE, dragging, redraw, session, told

Rows = tuple[tuple[Any, ...], ...]

# Seconds between two looks: what was dragged has come along when the hand has left the mouse.
_REST = 0.3

# What a row of the list is kept by, and how many lists are kept: as many as there are steps of undo by default, twice.
_FIELDS = (
    "key",
    "frame",
    "written_frame",
    "time",
    "text",
    "posed",
    "pose",
    "strength",
    "written_strength",
    "regions",
    "written_regions",
    "locked",
    "by_hand",
    "marker",
    "take",
)
_LISTS = 64


class Follower:
    """What was last seen of the active face, and the lists that were seen at rest with its keys.

    Undo brings back the datablocks that differ from one step to the other, and keeps the others as they stand: after
    keys were dragged and followed, it brings back the keys, and neither list nor markers. The list that was there with
    just these keys is put back then.
    """

    def __init__(self) -> None:
        self._seen: tuple[Any, ...] = ()
        self._settled: tuple[Any, ...] = ()
        self._lists: dict[tuple[int, bytes], list[Rows]] = {}
        self.travelled = False

    def forget(self) -> None:
        """Another file: nothing is known of it."""
        self._lists.clear()
        self.travelled = False

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
        return session().following is None and bool(self._seen) and self._seen == self._settled

    def _begin(self) -> None:
        found = faces.remembered(bpy.context)
        scene = bpy.context.scene
        if found is None or found.target is None or scene is None or _hands_on():
            return
        try:
            face = faces.settings_of(found.target)
            if not face.beats:
                return
            if self.travelled:
                self.travelled = False
                self._bring_back(found.target, face, scene)
            now = _look_of(found.target, face, scene)
            at_rest, self._seen = now == self._seen, now
            if at_rest and now == self._settled:
                self._keep(face, now[-1])
            if at_rest and now != self._settled:
                self._settled = now
                held = Held(found.target, scene)
                session().following = Slices(_following(held), held.sight)
        except FacescriptError as error:
            session().fail(error)
            redraw()

    def keep(self) -> None:
        """Before undo or redo: remember the list as it is now, if nothing of it is still to be followed."""
        found = faces.remembered(bpy.context)
        if session().following is not None or found is None or found.target is None:
            return
        with suppress(FacescriptError):
            face = faces.settings_of(found.target)
            if face.beats:
                self._keep(face, hand_edits.fingerprint(found.target))

    def _keep(self, face: Any, keys: bytes) -> None:
        """Remember the list that goes with these keys."""
        place, rows = (face.id_data.session_uid, keys), _rows(face)
        kept = self._lists.pop(place, [])
        if rows in kept:
            kept.remove(rows)
        # The last is the one that was looked at last.
        self._lists[place] = [*kept, rows][-_LISTS:]
        while len(self._lists) > _LISTS:
            del self._lists[next(iter(self._lists))]

    def _bring_back(self, target: Any, face: Any, scene: bpy.types.Scene) -> None:
        """After undo or redo: have the list be one that was there with these keys."""
        kept = self._lists.get((face.id_data.session_uid, hand_edits.fingerprint(target)), [])
        if not kept or _rows(face) in kept:
            return
        with session().quiet():
            finish(markers.remove(scene, [row.marker for row in face.beats]))
            face.beats.clear()
            for values in kept[-1]:
                row = face.beats.add()
                for name, value in zip(_FIELDS, values, strict=True):
                    setattr(row, name, value)
            face.active_beat = min(face.active_beat, max(0, len(face.beats) - 1))
            if face.show_markers:
                finish(markers.place(scene, lambda: face.beats))

    def _go_on(self, steps: Slices[bool]) -> None:
        try:
            if dragging() or steps.advance(SLICE):
                return
        except Exception as error:  # Nothing may keep the list from following the next time.
            # Once: it is looked at again when something changes.
            session().fail(told(error))
        session().following = None
        redraw()


def _following(held: Held) -> Steps[bool]:
    yield from desk.read_steps(held.find()[0])
    face, scene = held.find()
    return (yield from desk.follow_steps(desk.Desk.of(held.target, face, scene)))


def _rows(face: Any) -> Rows:
    """A face's list, as something that can be compared and put back."""
    found = []
    for row in face.beats:
        values = (getattr(row, name) for name in _FIELDS)
        found.append(tuple(v if isinstance(v, (str, int, float)) else tuple(v) for v in values))
    return tuple(found)


def _look_of(target: Any, face: Any, scene: bpy.types.Scene) -> tuple[Any, ...]:
    """All that following depends on, as something that can be compared."""
    marked = tuple((m.frame, m.name) for m in scene.timeline_markers) if face.show_markers else ()
    listed = tuple((row.key, row.frame, row.locked) for row in face.beats)
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
    """A file holds lists that agree with their keys."""
    for obj in bpy.data.objects:
        if obj.library is None and obj.facescript.beats:
            desk.rewrite(obj)


@persistent  # type: ignore[untyped-decorator]
def _before_undo(*_: Any) -> None:
    _follower.keep()


@persistent  # type: ignore[untyped-decorator]
def _after_undo(*_: Any) -> None:
    _follower.travelled = True


@persistent  # type: ignore[untyped-decorator]
def _after_loading(*_: Any) -> None:
    _follower.forget()


def _handlers() -> tuple[tuple[Any, Any], ...]:
    handlers = bpy.app.handlers
    return (
        (handlers.save_pre, _before_saving),
        (handlers.undo_pre, _before_undo),
        (handlers.redo_pre, _before_undo),
        (handlers.undo_post, _after_undo),
        (handlers.redo_post, _after_undo),
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
