# SPDX-License-Identifier: GPL-3.0-or-later
"""The emotion presets, read from `emotions.json`, and the operator that fills one in."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from ..performance import FacescriptError
from . import faces
from .language import rpt_


@cache
def emotions() -> dict[str, list[str]]:
    """Emotional directions by family, in the order of the menu."""
    text = Path(__file__).with_name("emotions.json").read_text(encoding="utf-8")
    found: dict[str, list[str]] = json.loads(text)
    return found


class FACESCRIPT_OT_set_emotion(bpy.types.Operator):
    """Use this emotional direction; it can be edited afterwards"""

    bl_idname = "facescript.set_emotion"
    bl_label = "Set Emotion"
    bl_options = {"REGISTER", "UNDO"}

    emotion: StringProperty(name="Emotion", description="The emotional direction, in a few words")

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            faces.active_face(context)[1].emotion = self.emotion
        except FacescriptError as error:
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (FACESCRIPT_OT_set_emotion,)
