# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences: the runtime, the model and the folders."""

from __future__ import annotations

import sys

import bpy

from ..inference.servers import trial as server_trial
from ..inference.servers.addresses import parse_address
from ..inference.setup.host_runtime import can_ask
from ..operators import preferences
from ..performance import FacescriptError
from .layout import draw_error, draw_setup, paragraph
from .models import draw_models


class FACESCRIPT_AP_preferences(preferences.Settings, bpy.types.AddonPreferences):
    """Facescript's preferences"""

    bl_idname = preferences.PACKAGE

    def draw(self, context: bpy.types.Context) -> None:
        layout, width = self.layout, context.region.width
        layout.use_property_split = True
        # Above all: where Set Up and the test of a server are, it may be out of sight.
        draw_error(layout, width)
        box = layout.box()
        box.label(text="Runtime: a private Python environment on this machine")
        self._draw_runtime(context, box, width)
        box.prop(self, "runtime_folder")
        box.prop(self, "wheels_folder")
        if sys.platform != "darwin":
            box.prop(self, "accelerator")
        box = layout.box()
        box.prop(self, "backend")
        if self.backend == "embedded":
            box.prop(self, "trained_adapter")
        if self.backend == "local":
            box.prop(self, "model_folder")
            box.prop(self, "adapter_folder")
        if self.backend == "server":
            self._draw_server(box, width)
        else:
            box.prop(self, "quantization")
            if self.backend == "local":
                box.prop(self, "decoding")
            box.prop(self, "keep_loaded")
            paragraph(box, "Scripts and performances stay on this machine.", width, "LOCKED")
        if self.backend == "local":
            draw_models(layout.box(), context, width)
        layout.operator("facescript.copy_diagnostics", icon="COPYDOWN")

    def _draw_server(self, box: bpy.types.UILayout, width: int) -> None:
        box.prop(self, "server_address")
        box.prop(self, "server_model")
        box.prop(self, "server_key")
        if can_ask():
            paragraph(box, "A server needs no Set Up.", width)
        try:
            address = parse_address(self.server_address)
        except FacescriptError as error:
            paragraph(box, str(error), width, "ERROR")
            return
        if address.warning:
            paragraph(box, address.warning, width, "UNLOCKED" if address.scheme == "http" else "WORLD")
        else:
            paragraph(box, "Your script goes to a server on this machine, which may send it on.", width, "INFO")
        box.operator("facescript.test_server", icon="LINKED")
        trial = server_trial.last(str(address))
        if trial is not None and trial.running:
            paragraph(box, "Asking the server ...", width, "SORTTIME")
        elif trial is not None and trial.abilities:
            paragraph(box, server_trial.summary(trial.abilities), width, "CHECKMARK")

    def _draw_runtime(self, context: bpy.types.Context, box: bpy.types.UILayout, width: int) -> None:
        try:
            runtime = preferences.runtime(context)
        except FacescriptError as error:
            paragraph(box, str(error), width, "ERROR")
            return
        state = runtime.state(accelerator=self.accelerator)
        if state.kind == "ready":
            paragraph(box, f"{state.sentence} In {runtime.folder}", width, "CHECKMARK")
            row = box.row()
            row.operator("facescript.set_up", text="Repair", icon="FILE_REFRESH").repair = True
            row.operator("facescript.remove_runtime", text="Remove", icon="TRASH")
        else:
            draw_setup(box, width, state.sentence)


CLASSES = (FACESCRIPT_AP_preferences,)
