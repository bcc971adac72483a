# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances out as training data: as they are on the timeline now, a line each, added to one file.

`run.py train --data` reads such files (docs/training.md). A line holds script, background, emotion, and of each beat
its time, its description and its pose; no name of an object, a file or a person that is not in those texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from ..performance import FacescriptError, Performance, jsonl
from ..performance.parsing import decode, open_regular
from ..performance.saving import saved
from . import desk, faces
from .importing import FaceFile
from .language import rpt_, tip_
from .session import busy_reason, session


class FACESCRIPT_OT_export_training_data(FaceFile, bpy.types.Operator, ExportHelper):
    """Save the take as it is on the timeline now, your changes too, as data to train a model of your own with"""

    bl_idname = "facescript.export_training_data"
    bl_label = "Export Take as Training Data"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".jsonl"
    filter_glob: StringProperty(default="*.jsonl", options={"HIDDEN"})
    scope: EnumProperty(
        name="Faces",
        description="Whose takes are saved",
        items=[
            ("ACTIVE", "Active Face", "The take that is shown of the active face"),
            ("SCENE", "All in the Scene", "The takes that are shown of all faces in the scene"),
        ],
        default="ACTIVE",
        options={"SKIP_SAVE"},
    )
    existing: EnumProperty(
        name="Existing File",
        description="What becomes of performances that are in the file",
        items=[
            ("ADD", "Add to It", "Keep them; a take that is there already is not saved again"),
            ("REPLACE", "Replace", "Begin the file anew"),
        ],
        default="ADD",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """An object has to be active, and no generation running."""
        if reason := busy_reason(context):
            cls.poll_message_set(tip_(reason))
            return False
        return super().poll(context)

    def run(self, context: bpy.types.Context, path: Path) -> None:
        """Write the lines; the file is replaced when all of them are there."""
        found = [_training(obj, context.scene) for obj in self._objects(context)]
        before, text = _read(path) if self.existing == "ADD" and path.exists() else ([], "")
        known = set(map(_identity, before))
        added = {what: p for p in found if (what := _identity(p)) not in known}
        with saved(path) as stream:
            stream.write(text)
            stream.writelines(jsonl.to_line(jsonl.performance_to_dict(performance)) for performance in added.values())
        note = f"{len(added)} of {len(found)} takes are new; the file holds {len(before) + len(added)} performances."
        session().note = note
        self.report({"INFO"}, rpt_(note))

    def _objects(self, context: bpy.types.Context) -> list[Any]:
        if self.scope == "ACTIVE":
            return [faces.active_face(context)[0].owner.find()]
        found = [obj for obj in context.scene.objects if obj.facescript.beats]
        if not found:
            what = "No face in this scene has a performance yet."
            raise FacescriptError("no_keyframes", what, "Press Generate first.")
        return sorted(found, key=lambda obj: obj.name_full)


def _training(obj: Any, scene: Any) -> Performance:
    """What the timeline shows of a face's beats. Raises FacescriptError for what cannot be learned from."""
    open_desk = desk.of_object(obj, scene)
    if not open_desk.beats:
        raise FacescriptError("no_keyframes", f"{obj.name!r} has no performance yet.", "Press Generate first.")
    for beat in open_desk.beats:
        if not beat.text.strip():
            what = f"The beat at frame {beat.frame} of {obj.name!r} has no description."
            raise FacescriptError("no_text", what, "Write one, or press Describe Pose.")
    return open_desk.shown(open_desk.beats)


def _read(path: Path) -> tuple[list[Performance], str]:
    """What a file holds, as `run.py train` reads it, and its text as it stands. Raises FacescriptError."""
    performances = list(jsonl.read_described(path))
    with open_regular(path) as stream:
        text = decode(stream.read())
    return performances, text if not text or text.endswith("\n") else text + "\n"


def _identity(performance: Performance) -> str:
    return jsonl.to_line(jsonl.performance_to_dict(performance) | {"id": ""})


CLASSES = (FACESCRIPT_OT_export_training_data,)


def _menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.operator(FACESCRIPT_OT_export_training_data.bl_idname, text="Facescript Training Data (.jsonl)")


def register() -> None:
    """Add the entry to File > Export."""
    bpy.types.TOPBAR_MT_file_export.append(_menu)


def unregister() -> None:
    """Undo `register`."""
    bpy.types.TOPBAR_MT_file_export.remove(_menu)
