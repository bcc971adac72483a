# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances in and out: JSON lines both ways, Live Link Face CSV out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..performance import FacescriptError, jsonl, live_link
from ..rig_mapping import curves, timeline
from ..rig_mapping.steps import finish
from . import faces
from .generate import write_steps
from .language import rpt_, tip_
from .motion import chosen_style
from .session import busy_reason, session


class _FaceFile:
    """What the file operators share: errors are reported, and grey buttons say why."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """An object has to be active."""
        if context.view_layer.objects.active is None:
            cls.poll_message_set(tip_("Click the character's face first"))  # type: ignore[attr-defined]
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            self._run(context, Path(bpy.path.abspath(self.filepath)))  # type: ignore[attr-defined]
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        return {"FINISHED"}

    def _run(self, context: bpy.types.Context, path: Path) -> None:
        raise NotImplementedError


class FACESCRIPT_OT_import_performance(_FaceFile, bpy.types.Operator, ImportHelper):
    """Write the first performance of a JSON-lines file to the active face's timeline"""

    bl_idname = "facescript.import_performance"
    bl_label = "Import Performance"
    bl_options = {"REGISTER"}

    filename_ext = ".jsonl"
    filter_glob: StringProperty(default="*.jsonl;*.json", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a generation is running, nor where undo does not cover keys."""
        if reason := busy_reason(context):
            cls.poll_message_set(tip_(reason))
            return False
        return super().poll(context)

    def _run(self, context: bpy.types.Context, path: Path) -> None:
        target, face = faces.active_face(context)
        face.check_editable()
        performance = next(jsonl.read_performances(path), None)
        if performance is None:
            raise FacescriptError("no_keyframes", f"{path} holds no performance.", "Choose another file.")
        kept = {name: getattr(face, name) for name in ("text", "script", "background", "emotion")}
        brief = performance.brief
        if brief.script:
            face.text, face.script, face.background, face.emotion = None, brief.script, brief.background, brief.emotion
        try:
            finish(write_steps(context.scene.name, target, performance, path.name, "Import Performance"))
        except FacescriptError:
            for name, value in kept.items():
                setattr(face, name, value)
            raise


class FACESCRIPT_OT_export_performance(_FaceFile, bpy.types.Operator, ExportHelper):
    """Save the active face's performance as JSON lines"""

    bl_idname = "facescript.export_performance"
    bl_label = "Export Performance"

    filename_ext = ".jsonl"
    filter_glob: StringProperty(default="*.jsonl", options={"HIDDEN"})

    def _run(self, context: bpy.types.Context, path: Path) -> None:
        performance = faces.active_face(context)[1].performance()
        try:
            path.write_text(jsonl.to_line(jsonl.performance_to_dict(performance)), encoding="utf-8")
        except OSError as error:
            raise FacescriptError(
                "no_file", f"Cannot write {path}: {error.strerror}.", "Choose another folder."
            ) from error


class FACESCRIPT_OT_export_live_link(_FaceFile, bpy.types.Operator, ExportHelper):
    """Save the active face's performance as Live Link Face CSV, one row a frame, for Unreal's MetaHuman"""

    bl_idname = "facescript.export_live_link"
    bl_label = "Export Live Link Face CSV"

    filename_ext = ".csv"
    filter_glob: StringProperty(default="*.csv", options={"HIDDEN"})

    def _run(self, context: bpy.types.Context, path: Path) -> None:
        face = faces.active_face(context)[1]
        fps = timeline.scene_fps(context.scene)
        made = curves.channel_curves(face.performance(), fps, face.start_frame, chosen_style(face))
        values = curves.sample(made, np.arange(made.start, made.end + 1))
        live_link.write(path, values, fps, start_frame=made.start)


def _import_menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.operator(FACESCRIPT_OT_import_performance.bl_idname, text="Facescript Performance (.jsonl)")


def _export_menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.operator(FACESCRIPT_OT_export_performance.bl_idname, text="Facescript Performance (.jsonl)")
    self.layout.operator(FACESCRIPT_OT_export_live_link.bl_idname, text="Live Link Face (.csv)")


CLASSES = (FACESCRIPT_OT_import_performance, FACESCRIPT_OT_export_performance, FACESCRIPT_OT_export_live_link)


def register() -> None:
    """Add the entries to File > Import and File > Export."""
    bpy.types.TOPBAR_MT_file_import.append(_import_menu)
    bpy.types.TOPBAR_MT_file_export.append(_export_menu)


def unregister() -> None:
    """Undo `register`."""
    bpy.types.TOPBAR_MT_file_export.remove(_export_menu)
    bpy.types.TOPBAR_MT_file_import.remove(_import_menu)
