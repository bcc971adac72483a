# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept in the .blend: each face's script and settings, and the beats that came out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..performance import REGIONS, Brief, FacescriptError, Keyframe, Performance, jsonl
from ..performance.model import MAX_TEXT
from ..performance.shaping import NEUTRAL_STRENGTHS, STRONGEST, scaled
from ..rig_mapping.steps import finish
from ..rig_mapping.styles import DEFAULT, styles
from . import markers
from .life import FACESCRIPT_PG_life
from .mapping_table import FACESCRIPT_PG_mapping
from .motion import FACESCRIPT_PG_motion, restyled
from .session import session

# So that a face that is a library override can be worked with. Blender does not save what is added to it there.
_OURS = {"LIBRARY_OVERRIDABLE"}

STYLE_ITEMS = [(style.id, style.label, style.description) for style in styles().values()]


def _listed(row: Any, context: bpy.types.Context) -> None:
    # Not imported above: the desk needs these properties.
    from .desk import listed

    listed(row, context)


def _reworded(row: Any, context: bpy.types.Context) -> None:
    face = row.id_data.facescript
    if not session().quieted and face.show_markers and any(beat == row for beat in face.beats):
        with session().quiet():
            finish(markers.place(context.scene, lambda: face.beats))


class FACESCRIPT_PG_beat(bpy.types.PropertyGroup):
    """One beat of the performance that is on the timeline."""

    key: IntProperty(name="Number", description="The beat's own number", options={"HIDDEN"}, override=_OURS)
    frame: IntProperty(
        name="Frame",
        description="The frame at which the beat is reached; its keys and its marker go along",
        min=-1_000_000,
        max=1_000_000,
        update=_listed,
        override=_OURS,
    )
    time: FloatProperty(
        name="Time",
        description="When the beat is reached, from the start",
        unit="TIME_ABSOLUTE",
        min=0.0,
        override=_OURS,
    )
    text: StringProperty(
        name="Description",
        description="What the face visibly does at this beat. Edit it, and regenerate the beat",
        maxlen=MAX_TEXT,
        update=_reworded,
        override=_OURS,
    )
    pose: StringProperty(
        name="Pose", description="The beat's 61 coefficients, as JSON", options={"HIDDEN"}, override=_OURS
    )
    posed: StringProperty(
        name="Posed", description="The description that the pose was made of", options={"HIDDEN"}, override=_OURS
    )
    strength: FloatProperty(
        name="Strength",
        description="How strong the whole pose is; 1 is as it was generated",
        default=1.0,
        min=0.0,
        max=STRONGEST,
        subtype="FACTOR",
        update=_listed,
        override=_OURS,
    )
    regions: FloatVectorProperty(
        name="Regions",
        description="How strong each region of the face is: brows, eyes, nose and cheeks, mouth, jaw, head",
        size=len(REGIONS),
        default=NEUTRAL_STRENGTHS,
        min=0.0,
        max=STRONGEST,
        update=_listed,
        override=_OURS,
    )
    locked: BoolProperty(
        name="Locked",
        description="Keep this beat as it is when others are generated. Opening the lock of a beat that you changed by "
        "hand gives it back: its keys are written anew",
        update=_listed,
        override=_OURS,
    )
    by_hand: BoolProperty(
        name="By Hand", description="Whether its pose was changed by hand", options={"HIDDEN"}, override=_OURS
    )
    marker: StringProperty(
        name="Marker", description="The name of its timeline marker", options={"HIDDEN"}, override=_OURS
    )
    take: IntProperty(
        name="Take", description="How many other takes of it were made", options={"HIDDEN"}, min=0, override=_OURS
    )
    written_frame: IntProperty(
        name="Written Frame", description="Where its keys were written", options={"HIDDEN"}, override=_OURS
    )
    written_strength: FloatProperty(
        name="Written Strength",
        description="The strength that its keys were written with",
        default=1.0,
        options={"HIDDEN"},
        override=_OURS,
    )
    written_regions: FloatVectorProperty(
        name="Written Regions",
        description="The strengths of regions that its keys were written with",
        size=len(REGIONS),
        default=NEUTRAL_STRENGTHS,
        options={"HIDDEN"},
        override=_OURS,
    )

    def keyframe(self) -> Keyframe:
        """The beat as a keyframe, as strong as it is shown. Raises FacescriptError if the file was tampered with."""
        made = jsonl.keyframe_from_dict(
            {"t": self.time, "text": self.text, "pose": jsonl.parse_object(self.pose or "{}")}
        )
        return replace(made, pose=scaled(made.pose, self.written_strength, tuple(self.written_regions)))


class FACESCRIPT_PG_variation(bpy.types.PropertyGroup):
    """One take of a beat, to choose from."""

    text: StringProperty(name="Description", description="What the face does in this take", override=_OURS)
    posed: StringProperty(
        name="Posed", description="The description that the pose was made of", options={"HIDDEN"}, override=_OURS
    )
    pose: StringProperty(
        name="Pose", description="The take's coefficients, as JSON", options={"HIDDEN"}, override=_OURS
    )

    def what(self) -> dict[str, Any]:
        """Its part of a beat. Raises FacescriptError if the file was tampered with."""
        entry = {"t": 0.0, "text": self.text, "pose": jsonl.parse_object(self.pose or "{}")}
        return {"text": self.text, "posed": self.posed, "pose": jsonl.keyframe_from_dict(entry).pose}


def _chosen(face: Any, context: bpy.types.Context) -> None:
    from .regenerate import variation_chosen

    variation_chosen(face)


def _jump(face: Any, context: bpy.types.Context) -> None:
    if session().quieted:
        return
    if 0 <= face.active_beat < len(face.beats) and context.scene:
        context.scene.frame_set(face.beats[face.active_beat].frame)


def _marked(face: Any, context: bpy.types.Context) -> None:
    if session().quieted:
        return
    with session().quiet():
        if face.show_markers:
            finish(markers.place(context.scene, lambda: face.beats))
        else:
            finish(markers.remove(context.scene, face.beats))
            for beat in face.beats:
                beat.marker = ""


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
        update=restyled,
        override=_OURS,
    )
    motion: PointerProperty(type=FACESCRIPT_PG_motion, override=_OURS)
    life: PointerProperty(type=FACESCRIPT_PG_life, override=_OURS)
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
        update=restyled,
        override=_OURS,
    )
    show_markers: BoolProperty(
        name="Markers",
        description="A timeline marker at each beat, with its description; dragging it moves the beat",
        default=True,
        update=_marked,
        override=_OURS,
    )
    beats: CollectionProperty(type=FACESCRIPT_PG_beat, override=_OURS | {"USE_INSERTION"})
    active_beat: IntProperty(
        name="Active Beat", description="The beat that is selected in the list", update=_jump, override=_OURS
    )
    variations: CollectionProperty(type=FACESCRIPT_PG_variation, override=_OURS | {"USE_INSERTION"})
    active_variation: IntProperty(
        name="Variation", description="The take of the beat that is shown", update=_chosen, override=_OURS
    )
    varied: IntProperty(
        name="Varied Beat", description="The number of the beat that has variations", options={"HIDDEN"}, override=_OURS
    )
    adjustment: StringProperty(
        name="Adjust",
        description='What to change of the selected beat, such as "more tired", "less smile", "raise the left brow"',
        maxlen=MAX_TEXT,
        override=_OURS,
    )
    model: StringProperty(name="Model", description="The model that made the performance", override=_OURS)
    performed: StringProperty(
        name="Performed",
        description="The script, background and emotion of the beats below, as JSON",
        options={"HIDDEN"},
        override=_OURS,
    )
    kept: IntProperty(
        name="Kept",
        description="Of the performances that objects of one character hold, the one with the highest number counts",
        options={"HIDDEN"},
        override=_OURS,
    )

    mapped: PointerProperty(type=FACESCRIPT_PG_mapping, override=_OURS)

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


_CLASSES = (FACESCRIPT_PG_beat, FACESCRIPT_PG_variation, FACESCRIPT_PG_face)


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
