# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept in the .blend: each face's script and settings, and the beats that came out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..performance import Brief, FacescriptError, Keyframe, Performance, jsonl
from ..performance.model import MAX_TEXT
from ..rig_mapping.styles import DEFAULT, styles

# So that a face that is a library override can be worked with. Blender does not save what is added to it there.
_OURS = {"LIBRARY_OVERRIDABLE"}

STYLE_ITEMS = [(style.id, style.label, style.description) for style in styles().values()]


class FACESCRIPT_PG_beat(bpy.types.PropertyGroup):
    """One beat of the performance that is on the timeline."""

    frame: IntProperty(name="Frame", description="The frame at which the beat is reached", override=_OURS)
    time: FloatProperty(
        name="Time",
        description="When the beat is reached, from the start",
        unit="TIME_ABSOLUTE",
        min=0.0,
        override=_OURS,
    )
    text: StringProperty(name="Description", description="What the face visibly does at this beat", override=_OURS)
    pose: StringProperty(
        name="Pose", description="The beat's 61 coefficients, as JSON", options={"HIDDEN"}, override=_OURS
    )

    def keyframe(self) -> Keyframe:
        """The beat as a keyframe. Raises FacescriptError if the file was tampered with."""
        return jsonl.keyframe_from_dict(
            {"t": self.time, "text": self.text, "pose": jsonl.parse_object(self.pose or "{}")}
        )


def _jump(face: Any, context: bpy.types.Context) -> None:
    if 0 <= face.active_beat < len(face.beats) and context.scene:
        context.scene.frame_set(face.beats[face.active_beat].frame)


class FACESCRIPT_PG_face(bpy.types.PropertyGroup):
    """A face's script, how it is to be performed, and the performance that was made of it."""

    script: StringProperty(
        name="Script",
        description="What is performed: dialogue, (stage directions) and action, one moment a line or free text",
        override=_OURS,
    )
    text: PointerProperty(
        name="Text",
        description="Take the script from this text of the Text Editor instead, for scripts of several lines",
        type=bpy.types.Text,
        override=_OURS,
    )
    background: StringProperty(
        name="Background", description="The situation, in a sentence", maxlen=MAX_TEXT, override=_OURS
    )
    emotion: StringProperty(
        name="Emotion", description="The emotional direction, in a few words", maxlen=MAX_TEXT, override=_OURS
    )
    start_frame: IntProperty(
        name="Start Frame",
        description="The frame at which the performance begins",
        default=1,
        min=0,
        max=1_000_000,
        override=_OURS,
    )
    style: EnumProperty(
        name="Style",
        description="How the face moves from beat to beat",
        items=STYLE_ITEMS,
        default=DEFAULT,
        override=_OURS,
    )
    seed: IntProperty(
        name="Seed",
        description="Another number gives another take of the same script",
        default=0,
        min=0,
        max=2**31 - 1,
        override=_OURS,
    )
    move_head: BoolProperty(
        name="Head Motion",
        description="Turn and tilt the head (its bone, or the head object) as well",
        default=True,
        override=_OURS,
    )
    beats: CollectionProperty(type=FACESCRIPT_PG_beat, override=_OURS | {"USE_INSERTION"})
    active_beat: IntProperty(
        name="Active Beat", description="The beat that is selected in the list", update=_jump, override=_OURS
    )
    model: StringProperty(name="Model", description="The model that made the performance", override=_OURS)
    performed: StringProperty(
        name="Performed",
        description="The script, background and emotion of the beats below, as JSON",
        options={"HIDDEN"},
        override=_OURS,
    )

    def brief(self) -> Brief:
        """What to ask the model for."""
        script = self.text.as_string() if self.text else self.script
        return Brief(script, self.background, self.emotion)

    def check_editable(self) -> None:
        """Raises FacescriptError (`linked`) if beats cannot be kept here: linked, or an override that is locked."""
        try:
            self.beats.add()
            self.beats.remove(len(self.beats) - 1)
        except (TypeError, RuntimeError) as error:
            what = f"{self.id_data.name!r} cannot be changed in this file: it is linked from a library."
            raise FacescriptError("linked", what, "Make it local, or make an editable library override.") from error

    def performance(self) -> Performance:
        """The performance that the beats hold. Raises FacescriptError (`no_keyframes`) if there is none."""
        if not self.beats:
            raise FacescriptError("no_keyframes", "This face has no performance yet.", "Press Generate first.")
        brief = jsonl.brief_from_dict(jsonl.parse_object(self.performed or "{}"))
        return Performance(brief, tuple(beat.keyframe() for beat in self.beats))

    def keep(self, performance: Performance, frames: Sequence[int], model: str) -> None:
        """Take in a performance that was written to the timeline."""
        self.performed = json.dumps(jsonl.brief_to_dict(performance.brief), ensure_ascii=False)
        self.model = model
        self.beats.clear()
        for keyframe, frame in zip(performance.keyframes, frames, strict=True):
            beat = self.beats.add()
            beat.frame, beat.time, beat.text = frame, keyframe.time, keyframe.text
            beat.pose = json.dumps(keyframe.pose.active(1e-4))
        self["active_beat"] = 0


_CLASSES = (FACESCRIPT_PG_beat, FACESCRIPT_PG_face)


def register() -> None:
    """Register the property groups and hang them on objects."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    owner: Any = bpy.types.Object
    owner.facescript = PointerProperty(type=FACESCRIPT_PG_face)  # type: ignore[func-returns-value]


def unregister() -> None:
    """Undo `register`."""
    owner: Any = bpy.types.Object
    del owner.facescript
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
