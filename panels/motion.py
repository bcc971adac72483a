# SPDX-License-Identifier: GPL-3.0-or-later
"""How the face moves from beat to beat, and what keeps it alive between them."""

from __future__ import annotations

import bpy

from ..operators.session import session
from .layout import face_of
from .sidebar import Sidebar


class FACESCRIPT_PT_motion(Sidebar, bpy.types.Panel):
    """How the face moves from beat to beat"""

    bl_idname = "FACESCRIPT_PT_motion"
    bl_order = 3
    bl_label = "Motion"
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
        column.prop(face, "style")
        column.prop(face, "move_head", text="Head")
        column.prop(face, "show_markers")


CLASSES = (FACESCRIPT_PT_motion,)
