# SPDX-License-Identifier: GPL-3.0-or-later
"""Editing the list of beats: going along it, inserting, splitting, merging, copying, deleting and moving beats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
from bpy.props import BoolProperty, IntProperty

from ..inference.plain_words import describe
from ..performance import FacescriptError, beat_list
from ..performance.beat_list import ShapedBeat
from ..rig_mapping import life_layer, timeline
from ..rig_mapping.steps import finish
from . import faces, markers
from .desk import Desk, edit, open_desk
from .language import rpt_, tip_
from .session import busy_reason, session

# How far from each other beats are put, in seconds: the corpus's median gap is 1.2 s.
_GAP = 1.0


class BeatOperator:
    """What the operators on beats share: they are grey while a generation is running, and where there are no beats."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there are beats to edit, as far as it is known without searching the scene."""
        reason = busy_reason(context)
        found = None if bpy.app.background else faces.remembered(context)
        if not reason and found is not None and found.target is not None:
            try:
                if not faces.settings_of(found.target).beats:
                    reason = "This face has no beats yet. Press Generate first"
            except FacescriptError as error:
                reason = str(error)
        if reason:
            cls.poll_message_set(tip_(reason))  # type: ignore[attr-defined]
        return not reason

    def execute(self, context: bpy.types.Context) -> set[Any]:
        return edit(self, context, lambda desk: self.change(desk, context))

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        """Make the edit; what to tell the user, if anything."""
        raise NotImplementedError


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
            desk = open_desk(context)
        except FacescriptError as error:
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        if not desk.beats:
            self.report({"WARNING"}, rpt_("This face has no beats yet. Press Generate first."))
            return {"CANCELLED"}
        desk.face.active_beat = min(max(desk.index + self.step, 0), len(desk.beats) - 1)
        return {"FINISHED"}


class FACESCRIPT_OT_insert_beat(BeatOperator, bpy.types.Operator):
    """Add a beat at the current frame that holds what the face shows there; edit its description and regenerate it"""

    bl_idname = "facescript.insert_beat"
    bl_label = "Insert Beat"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        frame = context.scene.frame_current
        pose = timeline.read_pose(desk.target, frame)
        text = describe(pose)
        beats = beat_list.insert(desk.beats, frame, ShapedBeat(frame, text, pose, posed=text))
        added = next(b for b in beat_list.numbered(beats) if b.key not in {old.key for old in desk.beats})
        desk.write(beats, select=added.key)
        return f"A beat at frame {added.frame}."


class FACESCRIPT_OT_split_beat(BeatOperator, bpy.types.Operator):
    """Make two beats of the selected one: the second is reached at the current frame, or half-way to the next beat"""

    bl_idname = "facescript.split_beat"
    bl_label = "Split Beat"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        beats = beat_list.split(desk.beats, desk.index, context.scene.frame_current)
        desk.write(beats, select=beats[desk.index].key)
        return None


class FACESCRIPT_OT_merge_beats(BeatOperator, bpy.types.Operator):
    """Make one beat of the selected one and the one after it"""

    bl_idname = "facescript.merge_beats"
    bl_label = "Merge with Next Beat"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        merged = beat_list.merge(desk.beats, desk.index)
        desk.write(merged, dropped=[desk.beats[desk.index + 1].key])
        return None


class FACESCRIPT_OT_duplicate_beat(BeatOperator, bpy.types.Operator):
    """Add a copy of the selected beat after it"""

    bl_idname = "facescript.duplicate_beat"
    bl_label = "Duplicate Beat"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        beats = beat_list.numbered(beat_list.duplicate(desk.beats, desk.index, round(_GAP * desk.fps)))
        desk.write(beats, select=beats[desk.index + 1].key)
        return None


class FACESCRIPT_OT_delete_beat(BeatOperator, bpy.types.Operator):
    """Remove the selected beat with its keys and its marker"""

    bl_idname = "facescript.delete_beat"
    bl_label = "Delete Beat"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        desk.write(beat_list.delete(desk.beats, desk.index), dropped=[desk.beats[desk.index].key])
        return None


class FACESCRIPT_OT_move_beat(BeatOperator, bpy.types.Operator):
    """Move the selected beat to the current frame, or by some frames; it stays between its neighbours"""

    bl_idname = "facescript.move_beat"
    bl_label = "Move Beat"

    here: BoolProperty(name="To Current Frame", description="Move it to the current frame", options={"SKIP_SAVE"})
    frames: IntProperty(name="Frames", description="By how many frames to move it", default=1, min=-10_000, max=10_000)
    following: BoolProperty(
        name="Following Beats Too", description="Move all beats after it as well", options={"SKIP_SAVE"}
    )

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        index = desk.index
        wanted = context.scene.frame_current if self.here else desk.beats[index].frame + self.frames
        head, tail = desk.beats[: index + 1], desk.beats[index + 1 :]
        if self.following:
            head = beat_list.retime(head, index, wanted)
            beats = head + beat_list.shifted(tail, head[index].frame - desk.beats[index].frame)
        else:
            beats = beat_list.retime(desk.beats, index, wanted)
        desk.write(beats)
        return f"The beat is at frame {beats[index].frame}."


class FACESCRIPT_OT_lock_beats(BeatOperator, bpy.types.Operator):
    """Lock every beat against generation, or open every lock but those of beats that you changed by hand"""

    bl_idname = "facescript.lock_beats"
    bl_label = "Lock All Beats"

    lock: BoolProperty(name="Lock", description="Lock them, rather than open their locks", default=True)

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        desk.keep(tuple(replace(beat, locked=self.lock or beat.by_hand) for beat in desk.beats))
        return None


class FACESCRIPT_OT_release_beat(BeatOperator, bpy.types.Operator):
    """Give a beat that you changed by hand back to Facescript: its pose stays, and it can be generated again"""

    bl_idname = "facescript.release_beat"
    bl_label = "Release Beat"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        beat = desk.beats[desk.index]
        free = beat_list.changed(desk.beats, desk.index, lambda b: replace(b, by_hand=False, locked=False))
        desk.write(free, dropped=[beat.key])
        return None


class FACESCRIPT_OT_clear(bpy.types.Operator):
    """Remove the performance's keys, beats and markers; keys that you changed or added stay"""

    bl_idname = "facescript.clear"
    bl_label = "Clear Performance"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a generation is running."""
        if reason := busy_reason(context):
            cls.poll_message_set(tip_(reason))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        # What is half followed would be finished over it.
        session().settle()
        try:
            target, face = faces.active_face(context)
            timeline.clear(target)
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        finish(markers.remove(context.scene, face.beats))
        face.beats.clear()
        face.performed, face.model = "", ""
        warnings = finish(life_layer.follow(target))
        session().note = " ".join(("The performance's keys were removed.", *warnings))
        return {"FINISHED"}


CLASSES = (
    FACESCRIPT_OT_step_beat,
    FACESCRIPT_OT_insert_beat,
    FACESCRIPT_OT_split_beat,
    FACESCRIPT_OT_merge_beats,
    FACESCRIPT_OT_duplicate_beat,
    FACESCRIPT_OT_delete_beat,
    FACESCRIPT_OT_move_beat,
    FACESCRIPT_OT_lock_beats,
    FACESCRIPT_OT_release_beat,
    FACESCRIPT_OT_clear,
)
