# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels played on the face to see what a mapping does: one, all in turn, or by a slider. Nothing is keyed.

Played from a timer, so that the window stays live and nothing of it is a step of undo. The face is put back before
anything else is done with it: by Esc, a second click, another edit, undo, saving or opening a file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import blf
import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty, StringProperty

from ..performance import CHANNELS, INDEX, FacescriptError
from ..rig_mapping.standing import Look
from ..rig_mapping.targets import Target
from . import faces, mapping_table
from .language import CONTEXT, rpt_, tip_
from .session import busy_reason, redraw, session

# Seconds that a channel takes from 0 to 1 and back, by itself and among all.
_ALONE, _AMONG = 1.2, 0.7
_TICK = 1.0 / 30.0

_SHOW_ITEMS = [
    ("ALL", "All", "Every row"),
    ("UNSURE", "Unsure", "Rows that were guessed, and those whose target is gone"),
    ("MISSING", "Missing", "Channels that nothing shows yet"),
]


@dataclass(frozen=True)
class Moment:
    """What is shown: a channel and its coefficient, and its place among those that are played."""

    channel: str
    value: float
    number: int
    count: int


class Trial:
    """What is being looked at, if anything."""

    def __init__(self) -> None:
        self._look: Look | None = None
        self._scene: Any = None
        self._frame = 0.0
        self._channels: tuple[str, ...] = ()
        self._seconds, self._played = _ALONE, 0.0
        self.moment: Moment | None = None

    @property
    def target(self) -> Target | None:
        """The face that is looked at."""
        return self._look.target if self._look is not None else None

    @property
    def running(self) -> bool:
        """Whether the face is not as it stands by itself."""
        return self._look is not None

    @property
    def playing(self) -> bool:
        """Whether channels are being played."""
        return self.running and bool(self._channels)

    def play(self, target: Target, channels: Sequence[str], scene: Any) -> None:
        """Begin to play channels one after the other. Raises FacescriptError (`target_gone`)."""
        self._start(target, scene)
        self._channels, self._played = tuple(channels), 0.0
        self._seconds = _ALONE if len(channels) == 1 else _AMONG
        if len(channels) > 1:
            # All in turn are seen on a face at rest.
            self._show(dict.fromkeys(target.covered, 0.0))

    def hold(self, target: Target, channel: str, value: float, scene: Any) -> None:
        """Show a channel at a value for as long as the slider says. Raises FacescriptError (`target_gone`)."""
        if self.playing or self._look is None or self._look.target != target:
            self._start(target, scene)
        self.moment = Moment(channel, value, 1, 1)
        self._show({channel: value})

    def step(self, seconds: float) -> bool:
        """Go on by so many seconds; whether there is more."""
        if not self.playing:
            return False
        self._played += seconds
        place, share = divmod(self._played / self._seconds, 1.0)
        if place >= len(self._channels):
            self.stop()
            return False
        channel = self._channels[int(place)]
        if self.moment is not None and self.moment.channel != channel:
            self._show({self.moment.channel: 0.0})
        self.moment = Moment(channel, wave(channel, share), int(place) + 1, len(self._channels))
        self._show({channel: self.moment.value})
        return True

    def stop(self) -> None:
        """Put the face back as it was."""
        look, self._look, self._channels, self.moment = self._look, None, (), None
        if look is None:
            return
        look.put_back()
        try:
            if self._scene.frame_current_final != self._frame:
                # What is animated belongs to another frame now.
                self._scene.frame_set(self._scene.frame_current, subframe=self._scene.frame_subframe)
        except ReferenceError:
            return

    def _start(self, target: Target, scene: Any) -> None:
        self.stop()
        self._look, self._scene, self._frame = Look(target), scene, scene.frame_current_final

    def _show(self, coefficients: dict[str, float]) -> None:
        assert self._look is not None
        try:
            self._look.show(coefficients)
        except FacescriptError:
            self.stop()
            raise


def wave(channel: str, share: float) -> float:
    """The coefficient of a channel after a share in [0, 1] of its time: 0, 1 and 0; of an angle -1 after that."""
    if CHANNELS[INDEX[channel]].is_angle:
        return math.sin(math.tau * share)
    return 0.5 - 0.5 * math.cos(math.tau * share)


_trial = Trial()


def trial() -> Trial:
    """What is being looked at."""
    return _trial


def put_back() -> None:
    """Have the face stand as it does by itself; before anything else is done with it."""
    if _trial.running:
        _trial.stop()
        with session().quiet():
            view = bpy.context.window_manager.facescript_view
            view.attempt = view.turn = 0.0
        _redraw_views()


def _tick() -> float | None:
    global _last
    now = time.monotonic()
    # A window that is slow to draw sees all of it, slower.
    seconds, _last = min(now - _last, 3.0 * _TICK), now
    try:
        more = _trial.step(seconds)
    except FacescriptError as error:
        session().fail(error)
        more = False
    _select_played()
    _redraw_views()
    return _TICK if more else None


def _select_played() -> None:
    """Select the played channel's row in the table, if there is one."""
    moment = _trial.moment
    table = _table_of(_trial.target)
    if moment is None or table is None or (table.row is not None and table.row.channel == moment.channel):
        return
    place = next((i for i, row in enumerate(table.rows) if row.channel == moment.channel), -1)
    if place >= 0:
        with session().quiet():
            table.active = place


def _table_of(target: Target | None) -> Any:
    if target is None:
        return None
    try:
        return mapping_table.of_face(faces.settings_of(target))
    except FacescriptError:
        return None


def _redraw_views() -> None:
    redraw()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def _attempted(view: Any, context: bpy.types.Context) -> None:
    if session().quieted:
        return
    try:
        # Not `active_face`, which would put back what the slider has shown so far.
        target = faces.find(context.view_layer.objects.active)
        row = mapping_table.of_face(faces.settings_of(target)).row
        if row is None or row.channel not in target.covered:
            put_back()
            return
        value = view.turn if CHANNELS[INDEX[row.channel]].is_angle else view.attempt
        _trial.hold(target, row.channel, value, context.scene)
    except FacescriptError as error:
        session().fail(error)


def _tried(low: float) -> Any:
    return FloatProperty(
        name="Try",
        description="How the selected channel looks at this value. Nothing is keyed, and the face is put back after it",
        min=low,
        max=1.0,
        subtype="FACTOR",
        options={"SKIP_SAVE"},
        translation_context=CONTEXT,
        update=_attempted,
    )


class FACESCRIPT_PG_mapping_view(bpy.types.PropertyGroup):
    """How the table is looked at; kept with the window, so that nothing of it is a step of undo."""

    search: StringProperty(
        name="Search",
        description="List only rows whose channel or target has this in its name",
        options={"TEXTEDIT_UPDATE", "SKIP_SAVE"},
    )
    show: EnumProperty(name="Show", description="Which rows are listed", items=_SHOW_ITEMS, options={"SKIP_SAVE"})
    attempt: _tried(0.0)
    turn: _tried(-1.0)


class FACESCRIPT_OT_test_channel(bpy.types.Operator):
    """Play the selected channel on the face, from 0 to 1 and back. Nothing is keyed; Esc or the X stops it"""

    bl_idname = "facescript.test_channel"
    bl_label = "Test Channel"
    # No step of undo: the face is as it was afterwards.
    bl_options = {"REGISTER"}

    everything: BoolProperty(
        name="All Channels", description="Play every channel, one after the other", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a generation is running."""
        if reason := busy_reason(context):
            cls.poll_message_set(tip_(reason))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        global _last
        if _trial.playing:
            put_back()
            return {"FINISHED"}
        put_back()
        try:
            target, face = faces.active_face(context)
            channels = target.covered if self.everything else (_selected(target, face),)
            _trial.play(target, channels, context.scene)
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        if not bpy.app.timers.is_registered(_tick):
            _last = time.monotonic()
            bpy.app.timers.register(_tick, first_interval=0.0)
        return {"FINISHED"}


def _selected(target: Target, face: Any) -> str:
    """The channel of the selected row. Raises FacescriptError (`no_channel`)."""
    row = mapping_table.of_face(face).row
    if row is None:
        raise FacescriptError("no_channel", "No channel is selected.", "Press Edit Mapping, and select a row.")
    if row.channel not in target.covered:
        raise FacescriptError("no_channel", f"Nothing shows {row.channel} yet.", "Give its row a target first.")
    return str(row.channel)


class FACESCRIPT_OT_stop_test(bpy.types.Operator):
    """Stop playing channels, and put the face back as it was"""

    bl_idname = "facescript.stop_test"
    bl_label = "Stop Test"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while a channel is looked at: Esc means something else otherwise."""
        if not _trial.running:
            cls.poll_message_set(tip_("No channel is being tested"))
        return _trial.running

    def execute(self, context: bpy.types.Context) -> set[Any]:
        put_back()
        return {"FINISHED"}


def _draw_name() -> None:
    """The played channel's name, at the lower edge of the 3D View."""
    moment, region = _trial.moment, bpy.context.region
    if moment is None or region is None or not _trial.playing:
        return
    scale = bpy.context.preferences.system.ui_scale
    text = f"{moment.channel}  {moment.value:.2f}"
    if moment.count > 1:
        text += f"   {moment.number} / {moment.count}"
    blf.size(0, 20.0 * scale)
    width = _text.dimensions(0, text)[0]
    blf.color(0, 1.0, 1.0, 1.0, 1.0)
    blf.position(0, (region.width - width) / 2.0, 40.0 * scale, 0.0)
    blf.draw(0, text)


CLASSES = (FACESCRIPT_OT_test_channel, FACESCRIPT_OT_stop_test)

# Blender's stubs have its functions return nothing.
_text: Any = blf
_drawing: Any = None
_last = 0.0
_keys: list[tuple[Any, Any]] = []


@persistent  # type: ignore[untyped-decorator]
def _before_rendering(*_: Any) -> None:
    put_back()


def register() -> None:
    """Have Esc stop a test, and the 3D View say what is played."""
    global _drawing
    bpy.utils.register_class(FACESCRIPT_PG_mapping_view)
    owner: Any = bpy.types.WindowManager
    owner.facescript_view = PointerProperty(type=FACESCRIPT_PG_mapping_view)  # type: ignore[func-returns-value]
    session().put_back = put_back
    bpy.app.handlers.render_init.append(_before_rendering)
    _drawing = bpy.types.SpaceView3D.draw_handler_add(_draw_name, (), "WINDOW", "POST_PIXEL")
    # Without a window there are no key maps.
    config = bpy.context.window_manager.keyconfigs.addon
    if config is not None:
        keymap = config.keymaps.new(name="Window")
        _keys.append((keymap, keymap.keymap_items.new(FACESCRIPT_OT_stop_test.bl_idname, "ESC", "PRESS")))


def unregister() -> None:
    """Undo `register`."""
    global _drawing
    put_back()
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    _keys.clear()
    bpy.types.SpaceView3D.draw_handler_remove(_drawing, "WINDOW")
    _drawing = None
    bpy.app.handlers.render_init.remove(_before_rendering)
    owner: Any = bpy.types.WindowManager
    del owner.facescript_view
    bpy.utils.unregister_class(FACESCRIPT_PG_mapping_view)
