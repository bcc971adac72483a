# SPDX-License-Identifier: GPL-3.0-or-later
"""Which numbers of the rig show which channels: what was found, and the table by which it is changed."""

from __future__ import annotations

from typing import Any

import bpy

from ..operators import faces, profile_files
from ..operators.language import CONTEXT, iface_
from ..operators.mapping_table import SURE
from ..operators.mapping_trial import trial
from ..operators.session import session
from ..performance import CHANNELS, INDEX
from ..rig_mapping import profiles
from .layout import Rows, paragraph
from .sidebar import Sidebar

_ANGLES = {channel.name for channel in CHANNELS if channel.is_angle}
# The room for a gain, in the interface's units.
_GAIN = 2.6


class FACESCRIPT_UL_mapping(Rows, bpy.types.UIList):
    """One channel's target a row: how it was found, the channel, the target where it has another name, the gain"""

    bl_idname = "FACESCRIPT_UL_mapping"

    def draw_row(self, layout: Any, data: Any, item: Any, index: int) -> None:
        row = layout.row(align=True)
        title = "" if item.empty else _title(data, item, index)
        names = row.split(factor=0.5, align=True) if item.empty or title else row
        name = names.row(align=True)
        name.active = not item.empty
        name.label(text=item.channel, translate=False, icon=_sign(item))
        if item.empty:
            names.label(text="no target")
            names.active = False
            row.operator("facescript.pick_map_target", text="", icon="ADD", emboss=False).index = index
            return
        if title:
            target = names.row(align=True)
            target.alert = item.gone
            target.label(text=title, translate=False)
        name.alert = item.gone
        gain = row.row()
        gain.ui_units_x = _GAIN
        gain.prop(item, "gain", text="", emboss=False)

    def draw_filter(self, context: Any, layout: Any) -> None:
        """Nothing: search and filter stand above the list."""

    def filter_items(self, context: Any, data: Any, property: Any) -> Any:
        """Which rows are shown, by what is searched for."""
        view, shown = context.window_manager.facescript_view, self.bitflag_filter_item
        return [shown if _wanted(row, view) else 0 for row in getattr(data, property)], []


def _title(table: Any, row: Any, index: int) -> str:
    """What a row moves, if its channel's name does not say that: the object where only that tells it from others."""
    if row.title != row.channel:
        return str(row.title)
    beside = [table.rows[i] for i in (index - 1, index + 1) if 0 <= i < len(table.rows)]
    return str(row.object.name) if any(other.channel == row.channel for other in beside) else ""


def _sign(row: Any) -> str:
    if row.empty:
        return "BLANK1"
    if row.gone:
        return "ERROR"
    if row.by_hand:
        return "VIEW_PAN"
    return "QUESTION" if row.unsure else "CHECKMARK"


def _wanted(row: Any, view: Any) -> bool:
    if view.show == "MISSING" and not row.empty:
        return False
    if view.show == "UNSURE" and not (row.unsure or row.gone):
        return False
    words = view.search.casefold().split()
    if not words:
        return True
    text = f"{row.channel} {'' if row.empty else row.title}".casefold()
    return all(word in text for word in words)


class FACESCRIPT_MT_profiles(bpy.types.Menu):
    """Rig families, and profiles of your own"""

    bl_idname = "FACESCRIPT_MT_profiles"
    bl_label = "Use Profile"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        for profile in profiles.every():
            layout.operator("facescript.use_profile", text=profile.name, translate=False).profile = profile.id
        files = profile_files.user_files()
        if files:
            layout.separator()
        for path in files:
            layout.operator("facescript.use_profile", text=path.stem, translate=False).filepath = str(path)
        layout.separator()
        layout.operator("facescript.load_profile", text="From a File ...", icon="FILEBROWSER")


class FACESCRIPT_MT_mapping(bpy.types.Menu):
    """What else can be done to the mapping"""

    bl_idname = "FACESCRIPT_MT_mapping"
    bl_label = "Mapping"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("facescript.duplicate_map_row", icon="DUPLICATE")
        layout.separator()
        layout.operator("facescript.fill_mapping", icon="SHADERFX")
        layout.operator("facescript.mirror_mapping", text="Mirror Left to Right", icon="MOD_MIRROR").side = "left"
        layout.operator("facescript.mirror_mapping", text="Mirror Right to Left", icon="MOD_MIRROR").side = "right"
        layout.separator()
        layout.operator("facescript.save_profile", text="Save Profile ...", icon="FILE_TICK")
        layout.menu("FACESCRIPT_MT_profiles")
        layout.separator()
        layout.operator("facescript.automatic_mapping", icon="LOOP_BACK")


class FACESCRIPT_PT_mapping(Sidebar, bpy.types.Panel):
    """Which shape keys, bones and controls show which channels"""

    bl_idname = "FACESCRIPT_PT_mapping"
    bl_translation_context = CONTEXT
    bl_order = 0
    bl_label = "Mapping"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, width = self.layout, context.region.width
        found = faces.remembered(context)
        if found is None:
            layout.label(text="Looking at the selection ...")
            return
        owner = faces.owner_of(found)
        if owner is None:
            layout.label(text="Choose a face first.")
            return
        column = layout.column()
        column.enabled = not session().busy
        table = owner.facescript_mapping
        if found.target is not None:
            self._draw_family(column, found.target)
        elif not len(table.rows):
            paragraph(column, "Nothing was recognised by its name. Map the face by hand, or by a profile.", width)
        if len(table.rows):
            self._draw_table(column, context, table)
            return
        column.operator("facescript.edit_mapping", icon="PRESET")
        column.menu("FACESCRIPT_MT_profiles")
        _draw_run(column)

    def _draw_family(self, layout: Any, target: Any) -> None:
        layout.label(text=iface_(faces.family_of(target)), translate=False, icon="COMMUNITY")
        rows = target.mapping.rows
        guessed = sum(row.confidence < SURE and not row.by_hand for row in rows)
        sure = f"{len(rows)} rows, {guessed} of them guessed" if guessed else f"{len(rows)} rows, all of them sure"
        layout.label(text=iface_(sure), translate=False, icon="QUESTION" if guessed else "CHECKMARK")

    def _draw_table(self, layout: Any, context: Any, table: Any) -> None:
        view = context.window_manager.facescript_view
        layout.prop(view, "search", text="", icon="VIEWZOOM")
        layout.row().prop(view, "show", expand=True)
        row = layout.row()
        row.template_list("FACESCRIPT_UL_mapping", "", table, "rows", table, "active", rows=8)
        column = row.column(align=True)
        column.operator("facescript.add_map_row", text="", icon="ADD")
        column.operator("facescript.remove_map_row", text="", icon="REMOVE")
        column.separator()
        column.menu("FACESCRIPT_MT_mapping", text="", icon="DOWNARROW_HLT")
        if table.row is not None:
            self._draw_row(layout, table.row)
            self._draw_trial(layout, view, table.row)

    def _draw_row(self, layout: Any, row: Any) -> None:
        box = layout.box().column()
        box.use_property_split = True
        box.use_property_decorate = False
        box.prop(row, "channel")
        if row.empty:
            box.operator("facescript.pick_map_target", text="Choose Target ...", icon="VIEWZOOM")
        box.prop(row, "kind")
        box.prop(row, "object")
        if row.object is not None:
            _draw_name(box, row)
        box.prop(row, "gain")
        if row.kind == "TURN":
            # It begins where the bone stands.
            return
        box.prop(row, "offset")
        limits = box.row(heading="Limits")
        limits.prop(row, "limited", text="")
        ends = limits.row(align=True)
        ends.active = row.limited
        ends.prop(row, "low", text="")
        ends.prop(row, "high", text="")

    def _draw_trial(self, layout: Any, view: Any, row: Any) -> None:
        column = layout.column(align=True)
        slider = column.row(align=True)
        slider.enabled = not row.empty and not trial().playing
        slider.prop(view, "turn" if row.channel in _ANGLES else "attempt", slider=True)
        if trial().running and not trial().playing:
            slider.operator("facescript.stop_test", text="", icon="X")
        _draw_run(column, one=True)
        column = layout.column(align=True)
        example = column.row(align=True)
        example.operator("facescript.full_by_example", icon="KEYTYPE_EXTREME_VEC")
        example.operator("facescript.rest_by_example", icon="KEYTYPE_BREAKDOWN_VEC")


def _draw_name(layout: Any, row: Any) -> None:
    """The field for what a row names on its object."""
    obj = row.object
    keys = obj.data.shape_keys if obj.type == "MESH" else None
    if row.kind == "KEY" and keys is not None:
        layout.prop_search(row, "name", keys, "key_blocks", text="Shape Key")
    elif row.kind == "TURN":
        if obj.pose is not None:
            layout.prop_search(row, "name", obj.pose, "bones", text="Bone")
        layout.prop(row, "axis")
    elif row.kind == "PROPERTY":
        layout.prop(row, "name", text="Data Path")
        layout.prop(row, "index")
    else:
        layout.label(text="This object has no shape keys.", icon="ERROR")


def _draw_run(layout: Any, one: bool = False) -> None:
    """The buttons that play channels, or what is played and a button that stops it."""
    moment = trial().moment
    row = layout.row(align=True)
    if trial().playing and moment is not None:
        low = CHANNELS[INDEX[moment.channel]].low
        text = f"{moment.channel}  {moment.number} / {moment.count}" if moment.count > 1 else moment.channel
        row.progress(factor=(moment.value - low) / (1.0 - low), type="BAR", text=text, translate=False)
        row.operator("facescript.stop_test", text="", icon="X")
        return
    if one:
        row.operator("facescript.test_channel", icon="PLAY")
    row.operator("facescript.test_channel", text="Calibration Run", icon="PLAY").everything = True


CLASSES = (
    FACESCRIPT_UL_mapping,
    FACESCRIPT_MT_profiles,
    FACESCRIPT_MT_mapping,
    FACESCRIPT_PT_mapping,
)
