# SPDX-License-Identifier: GPL-3.0-or-later
"""Shaping a beat's pose by hand: mirror, soften, exaggerate, copy, key what the face stands at, put it in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
from bpy.props import BoolProperty, FloatProperty

from ..inference.plain_words import describe
from ..performance import FacescriptError, beat_list, jsonl, shaping
from ..performance.beat_list import ShapedBeat
from ..performance.mirroring import mirror_text
from ..rig_mapping import timeline
from .beats import BeatOperator
from .desk import Desk

_SOFTER = 0.8


class FACESCRIPT_OT_mirror_beat(BeatOperator, bpy.types.Operator):
    """Exchange left and right in the selected beat's pose and description"""

    bl_idname = "facescript.mirror_beat"
    bl_label = "Mirror Beat"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        def mirrored(beat: ShapedBeat) -> ShapedBeat:
            text, posed = mirror_text(beat.text), mirror_text(beat.posed)
            return replace(beat, pose=beat.pose.mirrored(), text=text, posed=posed)

        desk.write(beat_list.changed(desk.beats, desk.index, mirrored))
        return None


class FACESCRIPT_OT_scale_beats(BeatOperator, bpy.types.Operator):
    """Soften or exaggerate the selected beat, or all that are not locked: multiplies their strength"""

    bl_idname = "facescript.scale_beats"
    bl_label = "Soften or Exaggerate"

    factor: FloatProperty(
        name="Factor",
        description="Under 1 softens, over 1 exaggerates",
        default=_SOFTER,
        min=0.0,
        max=4.0,
    )
    everything: BoolProperty(
        name="All Unlocked Beats", description="All beats that are not locked, rather than the selected one"
    )

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        chosen = {b.key for b in desk.beats if not b.locked} if self.everything else {desk.beats[desk.index].key}

        def scaled(beat: ShapedBeat) -> ShapedBeat:
            return replace(beat, strength=min(shaping.STRONGEST, beat.strength * self.factor))

        desk.write(tuple(scaled(b) if b.key in chosen else b for b in desk.beats))
        return None


class FACESCRIPT_OT_copy_pose(BeatOperator, bpy.types.Operator):
    """Copy the selected beat's pose and description to the clipboard"""

    bl_idname = "facescript.copy_pose"
    bl_label = "Copy Pose"
    bl_options = {"REGISTER"}  # type: ignore[assignment]

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        beat = desk.beats[desk.index]
        context.window_manager.clipboard = jsonl.to_line({"text": beat.text, "pose": beat.shown.active(1e-4)})
        return "The pose is on the clipboard."


class FACESCRIPT_OT_paste_pose(BeatOperator, bpy.types.Operator):
    """Give the selected beat the pose and the description that were copied, from this face or another"""

    bl_idname = "facescript.paste_pose"
    bl_label = "Paste Pose"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        try:
            entry = jsonl.parse_object(context.window_manager.clipboard)
            copied = jsonl.keyframe_from_dict({"t": 0.0, **entry})
        except FacescriptError as error:
            why = "There is no pose on the clipboard."
            raise FacescriptError("no_pose", why, "Copy a beat's pose first.") from error

        def pasted(beat: ShapedBeat) -> ShapedBeat:
            return beat_list.set_pose(beat, copied.pose, text=copied.text, posed=copied.text)

        desk.write(beat_list.changed(desk.beats, desk.index, pasted))
        return None


class FACESCRIPT_OT_key_pose(BeatOperator, bpy.types.Operator):
    """Make what the face stands at now the pose of the beat at the current frame, or of a new one; it is yours then"""

    bl_idname = "facescript.key_pose"
    bl_label = "Key Pose as Beat"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        frame = context.scene.frame_current
        pose = timeline.standing_pose(desk.target)
        mine = {"by_hand": True, "locked": True}
        for place, beat in enumerate(desk.beats):
            if beat.frame == frame:
                beats = beat_list.changed(desk.beats, place, lambda b: beat_list.set_pose(b, pose, **mine))
                desk.write(beats, select=beat.key)
                return f"The beat at frame {frame} has your pose."
        text = describe(pose)
        new = beat_list.set_pose(ShapedBeat(frame, text, posed=text), pose, **mine)
        beats = beat_list.numbered(beat_list.insert(desk.beats, frame, new))
        desk.write(beats, select=next(b.key for b in beats if b.frame == frame))
        return f"Your pose is a new beat at frame {frame}."


class FACESCRIPT_OT_describe_beat(BeatOperator, bpy.types.Operator):
    """Describe the selected beat's pose, as it is now, in plain words"""

    bl_idname = "facescript.describe_beat"
    bl_label = "Describe Pose"

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        text = describe(desk.beats[desk.index].shown)
        desk.keep(beat_list.changed(desk.beats, desk.index, lambda b: replace(b, text=text, posed=text)))
        return text


CLASSES: tuple[Any, ...] = (
    FACESCRIPT_OT_mirror_beat,
    FACESCRIPT_OT_scale_beats,
    FACESCRIPT_OT_copy_pose,
    FACESCRIPT_OT_paste_pose,
    FACESCRIPT_OT_key_pose,
    FACESCRIPT_OT_describe_beat,
)
