# SPDX-License-Identifier: GPL-3.0-or-later
"""The life layer: blinks, eye darts, breath and head drift over the performance, and off again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
from bpy.props import FloatProperty, IntProperty

from ..performance import FacescriptError
from ..rig_mapping import life_layer, timeline
from ..rig_mapping.life import Amounts
from ..rig_mapping.targets import Target
from . import faces
from .language import rpt_, tip_
from .session import busy_reason, redraw, session

_OURS = {"LIBRARY_OVERRIDABLE"}
_AMOUNTS = ("blinks", "darts", "breath", "drift")


def _amount(name: str, description: str) -> Any:
    return FloatProperty(
        name=name, description=description, subtype="FACTOR", default=1.0, min=0.0, max=1.0, override=_OURS
    )


class _Settings:
    """What a layer is made of, as properties of a face and of the operator."""

    seed: IntProperty(
        name="Seed",
        description="Another number gives other blinks, darts and drifts",
        default=0,
        min=0,
        max=2**31 - 1,
        override=_OURS,
    )
    blinks: _amount("Blinks", "How many blinks: 1 is about 17 a minute, more of them where the gaze is shifted")
    darts: _amount("Eye Darts", "How far the eyes dart about what they look at: 1 is up to 6 degrees")
    breath: _amount("Breath", "How far the head rises with each breath: 1 is about half a degree")
    drift: _amount("Head Drift", "How far the head drifts when it rests: 1 is about one degree")


class FACESCRIPT_PG_life(_Settings, bpy.types.PropertyGroup):
    """A face's own settings of its life layer."""


class _Life:
    """What the operators share."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a face, and a layer on it if one is needed, as far as that is known without searching."""
        reason = busy_reason(context) or cls._missing(context)
        if reason:
            cls.poll_message_set(tip_(reason))  # type: ignore[attr-defined]
        return not reason

    @classmethod
    def _missing(cls, context: bpy.types.Context) -> str:
        found = None if bpy.app.background else faces.remembered(context)
        if found is None:
            return ""
        if found.error is not None or found.target is None:
            return str(found.error)
        return cls._unfit(found.target)

    @classmethod
    def _unfit(cls, target: Target) -> str:
        try:
            return "This face has no life layer. Add Life makes one" if life_layer.present(target) == "none" else ""
        except FacescriptError as error:
            return str(error)

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            target, face = faces.active_face(context)
            note = self._work(context, target, face)
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        session().note = note
        self.report({"INFO"}, rpt_(note))  # type: ignore[attr-defined]
        redraw()
        return {"FINISHED"}

    def _work(self, context: bpy.types.Context, target: Target, face: Any) -> str:
        """Do it; a sentence on what was done."""
        raise NotImplementedError


class FACESCRIPT_OT_add_life(_Settings, _Life, bpy.types.Operator):
    """Lay blinks, eye darts, breath and head drift over the performance, on an NLA track of their own"""

    bl_idname = "facescript.add_life"
    bl_label = "Add Life"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def _unfit(cls, target: Target) -> str:
        return ""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:
        try:
            face = faces.active_face(context)[1]
        except FacescriptError as error:
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        # A button means the face's own settings, not those of the last time; they can be adjusted afterwards.
        for name in ("seed", *_AMOUNTS):
            setattr(self, name, getattr(face.life, name))
        return self.execute(context)

    def _work(self, context: bpy.types.Context, target: Target, face: Any) -> str:
        given = {
            name: getattr(self if self.properties.is_property_set(name) else face.life, name)
            for name in ("seed", *_AMOUNTS)
        }
        amounts = Amounts(*(given[name] for name in _AMOUNTS))
        if not face.move_head:
            amounts = replace(amounts, breath=0.0, drift=0.0)
        scene = context.scene
        frames = [beat.frame for beat in face.beats]
        report = life_layer.add(
            target,
            start=min([scene.frame_start, *frames]),
            end=max([scene.frame_end, *frames]),
            seed=given["seed"],
            amounts=amounts,
            fps=timeline.scene_fps(scene),
        )
        for name, value in given.items():
            setattr(face.life, name, value)
        keys = f"{report.keys} keys on {report.curves} F-curves"
        return f"{report.blinks} blinks; {keys} of the NLA track {life_layer.NAME!r}."


class FACESCRIPT_OT_remove_life(_Life, bpy.types.Operator):
    """Take the life layer off; the performance is as it was without it"""

    bl_idname = "facescript.remove_life"
    bl_label = "Remove Life"
    bl_options = {"REGISTER", "UNDO"}

    def _work(self, context: bpy.types.Context, target: Target, face: Any) -> str:
        if not life_layer.remove(target):
            raise FacescriptError("no_life", "This face has no life layer.", "Add Life makes one.")
        return "The life layer was removed."


class FACESCRIPT_OT_toggle_life(_Life, bpy.types.Operator):
    """Show the performance without its life layer, or with it again"""

    bl_idname = "facescript.toggle_life"
    bl_label = "Toggle Life"
    bl_options = {"REGISTER", "UNDO"}

    def _work(self, context: bpy.types.Context, target: Target, face: Any) -> str:
        state = life_layer.present(target)
        if state == "none":
            raise FacescriptError("no_life", "This face has no life layer.", "Add Life makes one.")
        life_layer.set_muted(target, state != "muted")
        return "The life layer is shown." if state == "muted" else "The life layer is muted."


CLASSES = (FACESCRIPT_PG_life, FACESCRIPT_OT_add_life, FACESCRIPT_OT_remove_life, FACESCRIPT_OT_toggle_life)
