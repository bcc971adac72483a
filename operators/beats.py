# SPDX-License-Identifier: GPL-3.0-or-later
"""Going from beat to beat, and taking the performance off the timeline again."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty

from ..performance import FacescriptError
from ..rig_mapping import timeline
from . import faces
from .generate import busy_reason
from .session import session


class FACESCRIPT_OT_step_beat(bpy.types.Operator):
    """Go to the next or the previous beat"""

    bl_idname = "facescript.step_beat"
    bl_label = "Step to Beat"
    bl_options = {"REGISTER"}

    step: IntProperty(
        name="Step", description="How many beats forward; negative goes back", default=1, min=-1000, max=1000
    )

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            face = faces.active_face(context)[1]
        except FacescriptError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not face.beats:
            self.report({"WARNING"}, "This face has no beats yet. Press Generate first.")
            return {"CANCELLED"}
        face.active_beat = min(max(face.active_beat + self.step, 0), len(face.beats) - 1)
        return {"FINISHED"}


class FACESCRIPT_OT_clear(bpy.types.Operator):
    """Remove the performance's keys from the timeline; keys that you changed or added stay"""

    bl_idname = "facescript.clear"
    bl_label = "Clear Performance"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a generation is running."""
        if reason := busy_reason(context):
            cls.poll_message_set(reason)
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            target, face = faces.active_face(context)
            timeline.clear(target)
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        face.beats.clear()
        face.performed, face.model = "", ""
        session().note = "The performance's keys were removed."
        return {"FINISHED"}


CLASSES = (FACESCRIPT_OT_step_beat, FACESCRIPT_OT_clear)
