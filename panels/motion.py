# SPDX-License-Identifier: GPL-3.0-or-later
"""How the face moves from beat to beat, and what keeps it alive between them."""

from __future__ import annotations

import bpy

from ..operators.language import CONTEXT
from ..operators.motion import LEADS
from ..operators.session import session
from .layout import face_of
from .presets import FACESCRIPT_PT_style_presets
from .sidebar import FacePanel, Sidebar


class FACESCRIPT_PT_motion(Sidebar, bpy.types.Panel):
    """How the face moves from beat to beat"""

    bl_idname = "FACESCRIPT_PT_motion"
    bl_order = 3
    bl_label = "Motion"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        """The saved styles."""
        if face_of(context) is not None:
            FACESCRIPT_PT_style_presets.draw_panel_header(self.layout)

    def draw(self, context: bpy.types.Context) -> None:
        layout, face = self.layout, face_of(context)
        if face is None:
            layout.label(text="Choose a face first.")
            return
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.enabled = not session().busy
        column.prop(face, "style")
        column.prop(face.motion, "attack")
        for name in ("hold", "release", "overshoot"):
            row = column.row(heading=name.capitalize(), heading_ctxt=CONTEXT)
            row.prop(face.motion, f"own_{name}", text="")
            part = row.row()
            part.active = getattr(face.motion, f"own_{name}")
            part.prop(face.motion, name, text="")
        column.prop(face, "move_head")
        column.prop(face, "show_markers")


class FACESCRIPT_PT_leads(FacePanel, bpy.types.Panel):
    """Which region of the face goes first"""

    bl_idname = "FACESCRIPT_PT_leads"
    bl_parent_id = "FACESCRIPT_PT_motion"
    bl_label = "Leads"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, face = self.layout, face_of(context)
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = not session().busy
        layout.prop(face.motion, "own_leads", text="Region by Region")
        if not face.motion.own_leads:
            layout.prop(face.motion, "leads")
            return
        column = layout.column(align=True)
        for name in LEADS:
            column.prop(face.motion, name)


class FACESCRIPT_PT_life(Sidebar, bpy.types.Panel):
    """Blinks, eye darts, breath and head drift over the performance"""

    bl_idname = "FACESCRIPT_PT_life"
    bl_order = 4
    bl_label = "Life"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, face = self.layout, face_of(context)
        if face is None:
            layout.label(text="Choose a face first.")
            return
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.enabled = not session().busy
        for name in ("blinks", "darts", "breath", "drift"):
            column.prop(face.life, name, slider=True)
        column.prop(face.life, "seed")
        row = layout.row(align=True)
        row.operator("facescript.add_life", text="Add", icon="HEART")
        row.operator("facescript.toggle_life", text="", icon="HIDE_OFF")
        row.operator("facescript.remove_life", text="", icon="TRASH")


CLASSES = (FACESCRIPT_PT_motion, FACESCRIPT_PT_leads, FACESCRIPT_PT_life)
