# SPDX-License-Identifier: GPL-3.0-or-later
"""Facescript in Blender's menus, which is also where F3 looks: of the 3D View, the Dope Sheet, the timeline, the Graph
Editor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import bpy


class Entry(NamedTuple):
    """A line of a menu: an operator with the properties it is called with, or another menu; neither is a rule."""

    operator: str = ""
    text: str = ""
    icon: str = "NONE"
    values: Mapping[str, Any] = MappingProxyType({})
    menu: str = ""


_RULE = Entry()
_ASK = {"choose_file": True}

FACE: tuple[Entry, ...] = (
    Entry("facescript.generate", icon="PLAY"),
    Entry("facescript.regenerate_unlocked"),
    Entry("facescript.cancel"),
    Entry("facescript.clear", icon="X"),
    _RULE,
    Entry("facescript.preview", icon="RENDER_ANIMATION"),
    Entry("facescript.contact_sheet", icon="RENDER_STILL"),
    Entry("facescript.plot", icon="GRAPH"),
    _RULE,
    Entry("facescript.preview", "Preview Movie to File...", values=_ASK),
    Entry("facescript.contact_sheet", "Contact Sheet to File...", values=_ASK),
    Entry("facescript.plot", "Plot to File...", values=_ASK),
    _RULE,
    Entry("facescript.add_life"),
    Entry("facescript.toggle_life"),
    Entry("facescript.remove_life"),
    _RULE,
    Entry("facescript.new_take"),
    Entry("facescript.flip_take"),
    Entry("facescript.place_on_nla"),
    Entry("facescript.check_script"),
    _RULE,
    Entry("facescript.export_training_data", "Export Take as Training Data..."),
    _RULE,
    Entry("facescript.edit_mapping"),
    Entry("facescript.test_channel", "Calibration Run", values={"everything": True}),
    Entry(menu="FACESCRIPT_MT_mapping"),
    _RULE,
    Entry(menu="FACESCRIPT_MT_beats"),
)
BEATS: tuple[Entry, ...] = (
    Entry("facescript.step_beat", "Previous Beat", "PREV_KEYFRAME", {"step": -1}),
    Entry("facescript.step_beat", "Next Beat", "NEXT_KEYFRAME", {"step": 1}),
    _RULE,
    Entry("facescript.insert_beat", icon="ADD"),
    Entry("facescript.key_pose"),
    Entry("facescript.split_beat"),
    Entry("facescript.duplicate_beat"),
    Entry("facescript.merge_beats"),
    Entry("facescript.move_beat", "Move Beat to Current Frame", values={"here": True}),
    Entry("facescript.delete_beat", icon="REMOVE"),
    _RULE,
    Entry("facescript.regenerate_beat", icon="FILE_REFRESH"),
    Entry("facescript.vary_beat"),
    Entry("facescript.adjust_beat"),
    Entry("facescript.describe_beat"),
    _RULE,
    Entry("facescript.scale_beats"),
    Entry("facescript.mirror_beat"),
    Entry("facescript.copy_pose"),
    Entry("facescript.paste_pose"),
    _RULE,
    Entry("facescript.lock_beats", "Lock All Beats", values={"lock": True}),
    Entry("facescript.lock_beats", "Unlock All Beats", values={"lock": False}),
    Entry("facescript.release_beat"),
)

# Blender's own menu -> the one of ours at its end. The timeline has a menu of its own for markers up to 4.5.
PLACES: tuple[tuple[str, str], ...] = (
    ("VIEW3D_MT_object", "FACESCRIPT_MT_face"),
    ("VIEW3D_MT_pose", "FACESCRIPT_MT_face"),
    ("DOPESHEET_MT_key", "FACESCRIPT_MT_beats"),
    ("DOPESHEET_MT_marker", "FACESCRIPT_MT_beats"),
    ("DOPESHEET_MT_context_menu", "FACESCRIPT_MT_beats"),
    ("TIME_MT_marker", "FACESCRIPT_MT_beats"),
    ("GRAPH_MT_key", "FACESCRIPT_MT_beats"),
)


def draw(layout: Any, entries: Sequence[Entry]) -> None:
    """Draw those entries whose operators and menus there are, with a rule between groups that are not empty."""
    drawn = rule = False
    for entry in entries:
        if entry == _RULE:
            rule = drawn
            continue
        name = entry.menu or entry.operator.replace("facescript.", "FACESCRIPT_OT_")
        if not hasattr(bpy.types, name):
            continue
        if rule:
            layout.separator()
            rule = False
        drawn = True
        if entry.menu:
            layout.menu(entry.menu)
            continue
        given: dict[str, Any] = {"text": entry.text} if entry.text else {}
        button = layout.operator(entry.operator, icon=entry.icon, **given)
        for key, value in entry.values.items():
            setattr(button, key, value)


class FACESCRIPT_MT_face(bpy.types.Menu):
    """The active face's performance: make it, see it, clear it"""

    bl_idname = "FACESCRIPT_MT_face"
    bl_label = "Facescript"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, FACE)


class FACESCRIPT_MT_beats(bpy.types.Menu):
    """The beats of the active face's performance"""

    bl_idname = "FACESCRIPT_MT_beats"
    bl_label = "Facescript Beats"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, BEATS)


def _append_face(self: Any, context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.menu(FACESCRIPT_MT_face.bl_idname)


def _append_beats(self: Any, context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.menu(FACESCRIPT_MT_beats.bl_idname)


_CLASSES = (FACESCRIPT_MT_face, FACESCRIPT_MT_beats)
_DRAW = {"FACESCRIPT_MT_face": _append_face, "FACESCRIPT_MT_beats": _append_beats}


def places() -> list[tuple[Any, Any]]:
    """The menus that this Blender has, and what draws ours at their ends."""
    return [(getattr(bpy.types, name), _DRAW[ours]) for name, ours in PLACES if hasattr(bpy.types, name)]


def register() -> None:
    """Register the menus and put them into Blender's."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    for menu, function in places():
        menu.append(function)


def unregister() -> None:
    """Undo `register`."""
    for menu, function in reversed(places()):
        menu.remove(function)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
