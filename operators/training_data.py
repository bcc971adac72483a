# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances out as training data: as they are on the timeline now, a line each, added to one file.

`run.py train --data` reads such files (docs/training.md). A line holds script, background, emotion, and of each beat
its time, its description and its pose; no name of an object, a file or a person that is not in those texts, and so no
id: that of a recording is its file's name. A take that is in the file already, under the same texts, is replaced.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from ..performance import Brief, FacescriptError, Performance, jsonl
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
            ("ADD", "Add to It", "Keep them; a take of the same script, background and emotion is replaced"),
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
        found = {_identity(p): p for obj in self._objects(context) for p in [_training(obj, context.scene)]}
        before = _read(path) if self.existing == "ADD" and path.exists() else []
        kept = [(p, line) for p, line in before if _identity(p) in found or not _is_older(p, found.values())]
        known = {_identity(p) for p, _ in kept}
        added = [line for line in found if line not in known]
        with saved(path) as stream:
            stream.writelines([*(line for _, line in kept), *added])
        notes = [f"{len(added)} of {len(found)} takes are new; the file holds {len(kept) + len(added)} performances."]
        if gone := len(before) - len(kept):
            notes.append(f"Older lines of the same script, background and emotion, which they replace: {gone}.")
        if mute := sum(not p.brief.script.strip() for p in found.values()):
            notes.append(f"Takes without a script, from which the planner learns nothing: {mute}.")
            notes.append("Fill in Script in the sidebar, then export again.")
        session().note = " ".join(notes)
        self.report({"WARNING" if mute else "INFO"}, rpt_(session().note))

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
    shown = open_desk.shown(open_desk.beats)
    brief = _nameless(shown.brief, open_desk.face.brief())
    # What is typed may be longer than a line takes.
    return replace(shown, brief=jsonl.brief_from_dict(jsonl.brief_to_dict(brief)))


def _nameless(made_of: Brief, typed: Brief) -> Brief:
    """The texts that a performance was made of. One without a script - a recording, or beats by hand - has those that
    are typed into the panel where it has none."""
    if made_of.script.strip():
        return Brief(made_of.script, made_of.background, made_of.emotion)
    return Brief(typed.script, made_of.background or typed.background, made_of.emotion or typed.emotion)


def _read(path: Path) -> list[tuple[Performance, str]]:
    """What a file holds, as `run.py train` reads it, each with its line as it stands. Raises FacescriptError."""
    # First, as it names the line of what cannot be read.
    performances = list(jsonl.read_described(path))
    with open_regular(path) as stream:
        lines = [decode(line).rstrip("\r\n") + "\n" for line in stream if line.strip()]
    return list(zip(performances, lines, strict=True))


def _is_older(line: Performance, takes: Collection[Performance]) -> bool:
    """Whether a line is what one of the takes was before: two poses for one description teach neither. A line without
    a script is known by its beats, so that it goes when the script was filled in."""
    if line.brief.script.strip():
        return any(_texts(line.brief) == _texts(take.brief) for take in takes)
    return any(_beats(line) == _beats(take) for take in takes)


def _beats(performance: Performance) -> list[tuple[float, str]]:
    return [(round(k.time, 3), k.text) for k in performance.keyframes]


def _texts(brief: Brief) -> tuple[str, str, str]:
    return brief.script, brief.background, brief.emotion


def _identity(performance: Performance) -> str:
    """The performance as a line without an id."""
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
