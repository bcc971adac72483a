# SPDX-License-Identifier: GPL-3.0-or-later
"""The beats that are on the timeline: their list, and what is done to the selected one."""

from __future__ import annotations

from typing import Any

import bpy

from ..operators.language import iface_
from ..operators.session import session
from ..performance import REGIONS
from .layout import Rows, face_of, paragraph
from .sidebar import Sidebar

# The room for a frame number of five digits, in the interface's units.
_NUMBER = 3.0
# A description of so many letters is seen whole in its field.
_SHORT = 30


class FACESCRIPT_UL_beats(Rows, bpy.types.UIList):
    """One beat a row: its frame, its description, whether it is yours, and its lock"""

    bl_idname = "FACESCRIPT_UL_beats"

    def draw_row(self, layout: Any, data: Any, item: Any, index: int) -> None:
        row = layout.row(align=True)
        number = row.row()
        number.ui_units_x = _NUMBER
        number.prop(item, "frame", text="", emboss=False)
        row.prop(item, "text", text="", emboss=False)
        if item.text != item.posed:
            row.label(text="", icon="GREASEPENCIL")
        if item.by_hand:
            row.label(text="", icon="VIEW_PAN")
        row.prop(item, "locked", text="", icon="LOCKED" if item.locked else "UNLOCKED", emboss=False)


class FACESCRIPT_UL_variations(Rows, bpy.types.UIList):
    """One take of a beat a row; the first is what was there before"""

    bl_idname = "FACESCRIPT_UL_variations"

    def draw_row(self, layout: Any, data: Any, item: Any, index: int) -> None:
        layout.label(text=item.text if index else iface_("Before: {0}").format(item.text), translate=False)


class FACESCRIPT_MT_beat(bpy.types.Menu):
    """What else can be done to beats"""

    bl_idname = "FACESCRIPT_MT_beat"
    bl_label = "Beat"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("facescript.split_beat")
        layout.operator("facescript.merge_beats")
        layout.operator("facescript.duplicate_beat")
        layout.operator("facescript.move_beat", text="Move to Current Frame").here = True
        layout.separator()
        layout.operator("facescript.copy_pose", icon="COPYDOWN")
        layout.operator("facescript.paste_pose", icon="PASTEDOWN")
        layout.operator("facescript.mirror_beat", icon="MOD_MIRROR")
        layout.separator()
        layout.operator("facescript.lock_beats", text="Lock All", icon="LOCKED").lock = True
        layout.operator("facescript.lock_beats", text="Unlock All", icon="UNLOCKED").lock = False
        layout.operator("facescript.release_beat", icon="VIEW_PAN")
        layout.separator()
        layout.operator("facescript.clear", icon="TRASH")


class FACESCRIPT_PT_beats(Sidebar, bpy.types.Panel):
    """The beats that are on the timeline"""

    bl_idname = "FACESCRIPT_PT_beats"
    bl_order = 2
    bl_label = "Beats"

    def draw(self, context: bpy.types.Context) -> None:
        layout, width = self.layout, context.region.width
        face = face_of(context)
        if face is None or not face.beats:
            layout.label(text="They are being made ..." if session().busy else "None yet. Press Generate.")
            return
        row = layout.row()
        row.template_list("FACESCRIPT_UL_beats", "", face, "beats", face, "active_beat", rows=6)
        column = row.column(align=True)
        column.operator("facescript.insert_beat", text="", icon="ADD")
        column.operator("facescript.delete_beat", text="", icon="REMOVE")
        column.separator()
        column.operator("facescript.step_beat", text="", icon="TRIA_UP").step = -1
        column.operator("facescript.step_beat", text="", icon="TRIA_DOWN").step = 1
        column.separator()
        column.menu("FACESCRIPT_MT_beat", text="", icon="DOWNARROW_HLT")
        if not 0 <= face.active_beat < len(face.beats):
            return
        beat = face.beats[face.active_beat]
        if face.variations:
            self._draw_variations(face)
            return
        column = layout.column(align=True)
        column.prop(beat, "text", text="")
        if len(beat.text) > _SHORT:
            paragraph(column, beat.text, width, lines=8, translate=False)
        row = column.row(align=True)
        if beat.by_hand:
            row.operator("facescript.release_beat", icon="VIEW_PAN")
        else:
            row.operator("facescript.regenerate_beat", text="Regenerate", icon="FILE_REFRESH")
            row.operator("facescript.vary_beat", icon="SEQ_PREVIEW")
        column.operator("facescript.regenerate_unlocked", icon="FILE_REFRESH")

    def _draw_variations(self, face: Any) -> None:
        layout = self.layout
        layout.label(text="Other takes of this beat:")
        layout.template_list("FACESCRIPT_UL_variations", "", face, "variations", face, "active_variation", rows=4)
        row = layout.row(align=True)
        row.operator("facescript.keep_variation", text="Keep This", icon="CHECKMARK")
        row.operator("facescript.keep_variation", text="Keep None", icon="X").discard = True


class _BeatPanel(Sidebar):
    bl_parent_id = "FACESCRIPT_PT_beats"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only where a beat is selected."""
        face = face_of(context)
        return face is not None and 0 <= face.active_beat < len(face.beats) and not face.variations


class FACESCRIPT_PT_strength(_BeatPanel, bpy.types.Panel):
    """How strong the selected beat is, as a whole and region by region"""

    bl_idname = "FACESCRIPT_PT_strength"
    bl_label = "Strength"

    def draw(self, context: bpy.types.Context) -> None:
        layout, face = self.layout, face_of(context)
        beat = face.beats[face.active_beat]
        column = layout.column(align=True)
        column.enabled = not session().busy
        column.prop(beat, "strength", text="All", slider=True)
        column.separator()
        for index, region in enumerate(REGIONS):
            column.prop(beat, "regions", index=index, text=region.capitalize(), slider=True)
        row = layout.row(align=True)
        row.operator("facescript.scale_beats", text="Soften").factor = 0.8
        row.operator("facescript.scale_beats", text="Exaggerate").factor = 1.25
        row.operator("facescript.mirror_beat", text="", icon="MOD_MIRROR")


class FACESCRIPT_PT_words(_BeatPanel, bpy.types.Panel):
    """Change the selected beat in words, or have words made of it"""

    bl_idname = "FACESCRIPT_PT_words"
    bl_label = "In Words"

    def draw(self, context: bpy.types.Context) -> None:
        layout, face = self.layout, face_of(context)
        column = layout.column(align=True)
        column.prop(face, "adjustment", text="", placeholder="more tired, less smile ...")
        column.operator("facescript.adjust_beat", text="Adjust", icon="GREASEPENCIL")
        row = layout.row(align=True)
        row.operator("facescript.describe_beat", icon="WORDWRAP_ON")
        row.operator("facescript.key_pose", icon="KEY_HLT")


CLASSES = (
    FACESCRIPT_UL_beats,
    FACESCRIPT_UL_variations,
    FACESCRIPT_MT_beat,
    FACESCRIPT_PT_beats,
    FACESCRIPT_PT_strength,
    FACESCRIPT_PT_words,
)
