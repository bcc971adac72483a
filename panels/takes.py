# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a long script, and the takes of a face."""

from __future__ import annotations

from typing import Any

import bpy

from ..operators import script_table, takes
from ..operators.session import session
from .layout import Rows, face_of
from .sidebar import FacePanel, Sidebar


class FACESCRIPT_UL_lines(Rows, bpy.types.UIList):
    """One line of the script a row: its number, its frame, its length, its words and how many beats it has"""

    bl_idname = "FACESCRIPT_UL_lines"

    def draw_row(self, layout: Any, data: Any, item: Any, index: int) -> None:
        split = layout.split(factor=0.13)
        split.label(text=str(item.number))
        split = split.split(factor=0.18)
        split.label(text=str(item.frame))
        split = split.split(factor=0.22)
        split.label(text=f"{item.seconds:.1f} s")
        split = split.split(factor=0.85)
        split.label(text=item.words, translate=False)
        split.label(text=str(item.beats))


class FACESCRIPT_PT_lines(FacePanel, bpy.types.Panel):
    """What happens when: the script line by line"""

    bl_idname = "FACESCRIPT_PT_lines"
    bl_parent_id = "FACESCRIPT_PT_script"
    bl_label = "Lines"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, face = self.layout, face_of(context)
        if not face.text:
            layout.operator("facescript.script_to_text", icon="TEXT")
        table = script_table.remembered(context, face)
        layout.template_list("FACESCRIPT_UL_lines", "", table, "rows", table, "active", rows=4)
        row = layout.row(align=True)
        row.operator("facescript.regenerate_line", text="Regenerate", icon="FILE_REFRESH")
        row.operator("facescript.regenerate_line", text="From Here On").onward = True
        layout.operator("facescript.check_script", icon="CHECKMARK")


class FACESCRIPT_UL_takes(Rows, bpy.types.UIList):
    """One take a row: whether it is shown, its name, and whether it is on the NLA"""

    bl_idname = "FACESCRIPT_UL_takes"

    def draw_row(self, layout: Any, data: Any, item: Any, index: int) -> None:
        row = layout.row(align=True)
        shown = item.key == data.shown
        sign = "NLA" if item.on_nla else "RADIOBUT_ON" if shown else "RADIOBUT_OFF"
        row.operator("facescript.show_take", text="", icon=sign, emboss=False).index = index
        row.prop(item, "name", text="", emboss=False)


class FACESCRIPT_PT_takes(Sidebar, bpy.types.Panel):
    """Performances of this face to choose from"""

    bl_idname = "FACESCRIPT_PT_takes"
    bl_order = 5
    bl_label = "Takes"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, face = self.layout, face_of(context)
        if face is None:
            layout.label(text="Choose a face first.")
            return
        layout.enabled = not session().busy
        shelf = takes.of_face(face)
        if not len(shelf.rows):
            layout.label(text="This take is the only one.")
            layout.operator("facescript.new_take", icon="ADD")
            layout.operator("facescript.duplicate_take", icon="DUPLICATE")
            layout.operator("facescript.place_on_nla", icon="NLA")
            layout.operator("facescript.export_training_data", icon="EXPORT")
            return
        row = layout.row()
        row.template_list("FACESCRIPT_UL_takes", "", shelf, "rows", shelf, "active", rows=4)
        column = row.column(align=True)
        column.operator("facescript.new_take", text="", icon="ADD")
        column.operator("facescript.delete_take", text="", icon="REMOVE")
        column.separator()
        column.operator("facescript.duplicate_take", text="", icon="DUPLICATE")
        layout.operator("facescript.flip_take", icon="UV_SYNC_SELECT")
        layout.operator("facescript.append_take")
        active = shelf.rows[shelf.active] if 0 <= shelf.active < len(shelf.rows) else None
        if active is not None and active.on_nla:
            layout.operator("facescript.edit_take_again", icon="LOOP_BACK")
        else:
            layout.operator("facescript.place_on_nla", icon="NLA")
        layout.operator("facescript.export_training_data", icon="EXPORT")


CLASSES = (
    FACESCRIPT_UL_lines,
    FACESCRIPT_PT_lines,
    FACESCRIPT_UL_takes,
    FACESCRIPT_PT_takes,
)
