# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences: the runtime, the model and the folders."""

from __future__ import annotations

import bpy

from ..operators import preferences
from ..performance import FacescriptError
from .layout import draw_error, draw_setup, paragraph


class FACESCRIPT_AP_preferences(preferences.Settings, bpy.types.AddonPreferences):
    """Facescript's preferences"""

    bl_idname = preferences.PACKAGE

    def draw(self, context: bpy.types.Context) -> None:
        layout, width = self.layout, context.region.width
        layout.use_property_split = True
        box = layout.box()
        box.label(text="Runtime: a private Python environment on this machine")
        self._draw_runtime(context, box, width)
        box.prop(self, "runtime_folder")
        box.prop(self, "wheels_folder")
        box = layout.box()
        box.prop(self, "backend")
        if self.backend == "local":
            box.prop(self, "model_folder")
            box.prop(self, "adapter_folder")
        box.prop(self, "quantization")
        paragraph(box, "Scripts and performances stay on this machine.", width, "LOCKED")

    def _draw_runtime(self, context: bpy.types.Context, box: bpy.types.UILayout, width: int) -> None:
        try:
            runtime = preferences.runtime(context)
        except FacescriptError as error:
            paragraph(box, str(error), width, "ERROR")
            return
        state = runtime.state()
        if state.kind == "ready":
            paragraph(box, f"{state.sentence} In {runtime.folder}", width, "CHECKMARK")
            row = box.row()
            row.operator("facescript.set_up", text="Repair", icon="FILE_REFRESH").repair = True
            row.operator("facescript.remove_runtime", text="Remove", icon="TRASH")
        else:
            draw_setup(box, width, state.sentence)
        draw_error(box, width)


CLASSES = (FACESCRIPT_AP_preferences,)
