# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the list of beats follow what the animator does in the Dope Sheet, the Graph Editor and with markers.

A timer looks every now and then whether keys or markers of the active face are elsewhere than before, which costs
little, and follows once they have come to rest. It never touches keys or markers while they are being dragged.
No step of undo is made of it: what follows is decided by what was changed, so undo and redo lead to the same state.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..performance import FacescriptError
from ..rig_mapping import hand_edits, timeline
from ..rig_mapping.steps import Slices, Steps
from . import desk, faces
from .held import Held
from .session import SLICE, dragging, redraw, session, told

# Seconds between two looks: what was dragged has come along when the hand has left the mouse.
_REST = 0.3


class Follower:
    """What was last seen of the active face."""

    def __init__(self) -> None:
        self._seen: tuple[Any, ...] = ()
        self._settled: tuple[Any, ...] = ()

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
            now = _look_of(found.target, face, scene)
            at_rest, self._seen = now == self._seen, now
            if at_rest and now != self._settled:
                self._settled = now
                held = Held(found.target, scene)
                session().following = Slices(_following(held), held.sight)
        except FacescriptError as error:
            session().fail(error)
            redraw()

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


def register() -> None:
    """Begin to look."""
    bpy.app.handlers.save_pre.append(_before_saving)
    if not bpy.app.background:
        bpy.app.timers.register(_tick, first_interval=_REST, persistent=True)


def unregister() -> None:
    """Undo `register`."""
    bpy.app.handlers.save_pre.remove(_before_saving)
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
