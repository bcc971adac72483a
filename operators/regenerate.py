# SPDX-License-Identifier: GPL-3.0-or-later
"""Generating parts of a performance anew: one beat, the unlocked ones, other takes of a beat, and wishes in words.

Beats are read by the model among their neighbours. One whose pose the animator changed is told to it as it looks now,
so that what is around it fits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from ..inference import adjusting
from ..inference.client import Collector
from ..inference.plain_words import describe
from ..performance import Beat, Brief, FacescriptError, Keyframe, beat_list
from ..performance.beat_list import ShapedBeat
from ..performance.model import MAX_TEXT
from ..rig_mapping.steps import Steps, finish
from . import preferences
from .beats import BeatOperator
from .desk import Desk, follow_steps, of_object, open_desk
from .generate import usable_runtime, wait
from .held import Held
from .language import rpt_
from .session import redraw, session, watch
from .undo import push_undo

# How many other takes are shown of a beat.
TAKES = 3


def context_of(desk: Desk) -> Brief:
    """The performance as the model is told of it: the brief, and each beat as it is meant or as it looks."""
    first = desk.beats[0].frame
    beats = tuple(
        Beat((beat.frame - first) / desk.fps, describe(beat.shown) if beat.by_hand else beat.text)
        for beat in desk.beats
    )
    return replace(desk.brief, beats=beats)


class Asking(BeatOperator):
    """An operator that asks the model, and writes what it answers from a timer, as one step of undo."""

    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait",
        description="Return only when the keys are written, for scripts and pipelines",
        options={"SKIP_SAVE"},
    )

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            desk = open_desk(context)
            _ = desk.index
            self.ask(desk, context)
            if self.wait:
                wait()
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        if not self.wait:
            watch()
        return {"FINISHED"}

    def ask(self, desk: Desk, context: bpy.types.Context) -> None:
        """Send the request. Raises FacescriptError."""
        raise NotImplementedError

    def send(
        self,
        desk: Desk,
        context: bpy.types.Context,
        kind: str,
        brief: Brief,
        finish: Callable[[Desk, tuple[Keyframe, ...]], Steps[Any]],
        **more: Any,
    ) -> None:
        """Start a request; `finish` gets the desk as it is then, and what was made."""
        held, message = Held(desk.target, desk.scene), self.bl_label  # type: ignore[attr-defined]

        def done(made: Collector) -> Steps[None]:
            face, scene = held.find()
            now = Desk.of(held.target, face, scene)
            yield from follow_steps(now)
            session().note = ""
            yield from finish(now, made.made())
            now.face.model = made.label
            push_undo(message)

        options = preferences.model_options(context)
        seed = more.pop("seed", desk.face.seed)
        session().start(usable_runtime(context), kind, brief, options, seed, desk.target.name, done, held.sight, **more)
        redraw()


def _place(desk: Desk, key: int) -> int:
    """Where a beat is by now. Raises FacescriptError (`beat_gone`)."""
    for place, beat in enumerate(desk.beats):
        if beat.key == key:
            return place
    raise FacescriptError("beat_gone", "The beat was deleted meanwhile.", "Select another one, and try again.")


def _not_locked(beat: ShapedBeat) -> None:
    if beat.locked:
        what = f"The beat at frame {beat.frame} {'was changed by hand' if beat.by_hand else 'is locked'}."
        raise FacescriptError("locked_beat", what, "Open its lock first.")


def _made(beat: ShapedBeat, keyframe: Keyframe) -> ShapedBeat:
    """A beat with what the model made; its strengths stay the animator's."""
    return replace(beat, text=keyframe.text, posed=keyframe.text, pose=keyframe.pose)


class FACESCRIPT_OT_regenerate_beat(Asking, bpy.types.Operator):
    """Make the selected beat anew among its neighbours: from its description if you edited that, else with another"""

    bl_idname = "facescript.regenerate_beat"
    bl_label = "Regenerate Beat"

    def ask(self, desk: Desk, context: bpy.types.Context) -> None:
        beat = desk.beats[desk.index]
        _not_locked(beat)
        row = desk.face.beats[desk.index]
        if not beat.text.strip():
            raise FacescriptError("empty_script", "The beat has no description.", "Say what the face does.")

        def made_anew(now: Desk, made: tuple[Keyframe, ...]) -> Steps[Any]:
            place = _place(now, beat.key)
            yield from now.write_steps(
                beat_list.changed(now.beats, place, lambda b: _made(b, made[0])), select=beat.key
            )

        if beat.edited:
            self.send(desk, context, "pose_some", context_of(desk), made_anew, at=(desk.index,))
            return
        row.take += 1
        seed = desk.face.seed + row.take
        self.send(desk, context, "alternatives", context_of(desk), made_anew, at=(desk.index,), count=1, seed=seed)


class FACESCRIPT_OT_regenerate_unlocked(Asking, bpy.types.Operator):
    """Make the poses of all beats that are not locked anew from their descriptions, to fit what you changed"""

    bl_idname = "facescript.regenerate_unlocked"
    bl_label = "Regenerate Unlocked Beats"

    def ask(self, desk: Desk, context: bpy.types.Context) -> None:
        free = [beat.key for beat in desk.beats if not beat.locked and beat.text.strip()]
        if not free:
            raise FacescriptError("locked_beat", "Every beat is locked.", "Open the locks of some.")
        places = tuple(_place(desk, key) for key in free)

        def made_anew(now: Desk, made: tuple[Keyframe, ...]) -> Steps[Any]:
            beats = now.beats
            for key, keyframe in zip(free, made, strict=True):
                beats = tuple(_made(b, keyframe) if b.key == key else b for b in beats)
            yield from now.write_steps(beats)

        self.send(desk, context, "pose_some", context_of(desk), made_anew, at=places)


class FACESCRIPT_OT_vary_beat(Asking, bpy.types.Operator):
    """Find three other takes of the selected beat; look at each in place, and keep one or none"""

    bl_idname = "facescript.vary_beat"
    bl_label = "Variations"

    count: IntProperty(name="Takes", description="How many other takes", default=TAKES, min=1, max=8)

    def ask(self, desk: Desk, context: bpy.types.Context) -> None:
        if len(desk.face.variations):
            raise FacescriptError("variations", "Variations of a beat are shown already.", "Keep one, or none, first.")
        beat = desk.beats[desk.index]
        _not_locked(beat)
        row = desk.face.beats[desk.index]
        seed = desk.face.seed + row.take + 1
        row.take += self.count

        def made_anew(now: Desk, made: tuple[Keyframe, ...]) -> Steps[Any]:
            here = now.beats[_place(now, beat.key)]
            yield from show_variations(now, here, [_made(here, keyframe) for keyframe in made])

        brief = context_of(desk)
        self.send(desk, context, "alternatives", brief, made_anew, at=(desk.index,), count=self.count, seed=seed)


def show_variations(desk: Desk, beat: ShapedBeat, others: Sequence[ShapedBeat]) -> Steps[Any]:
    """List a beat and its other takes, and show the first of them."""
    face = desk.face
    with session().quiet():
        face.variations.clear()
        for one in (beat, *others):
            row = face.variations.add()
            row.text, row.posed, row.pose = one.text, one.posed, json.dumps(one.pose.active(1e-4))
        face.varied = beat.key
        face.active_variation = min(1, len(others))
    yield from _show(desk, face.active_variation)


def _show(desk: Desk, number: int) -> Steps[Any]:
    row = desk.face.variations[number]
    place = _place(desk, desk.face.varied)
    yield from desk.write_steps(
        beat_list.changed(desk.beats, place, lambda b: replace(b, **row.what())), select=desk.face.varied
    )


def variation_chosen(face: Any) -> None:
    """Show the variation that was selected in the list. For its update callback."""
    if session().quieted or not 0 <= face.active_variation < len(face.variations):
        return
    try:
        finish(_show(of_object(face.id_data, bpy.context.scene), face.active_variation))
    except FacescriptError as error:
        session().fail(error)


class FACESCRIPT_OT_keep_variation(BeatOperator, bpy.types.Operator):
    """Keep the take of the beat that is shown, or the one that was there before"""

    bl_idname = "facescript.keep_variation"
    bl_label = "Keep Variation"

    discard: BoolProperty(
        name="None", description="Keep none: the beat is as it was before", default=False, options={"SKIP_SAVE"}
    )

    def change(self, desk: Desk, context: bpy.types.Context) -> str | None:
        face = desk.face
        if not len(face.variations):
            raise FacescriptError("variations", "No variations are shown.", "Press Variations first.")
        if self.discard and any(beat.key == face.varied for beat in desk.beats):
            finish(_show(desk, 0))
        face.variations.clear()
        return None


class FACESCRIPT_OT_adjust_beat(Asking, bpy.types.Operator):
    """Change the selected beat's pose by a few words: "more tired", "less smile", "add a raised left eyebrow" """

    bl_idname = "facescript.adjust_beat"
    bl_label = "Adjust in Words"

    words: StringProperty(
        name="Words", description="What to change; if not given, what is typed in the panel", maxlen=MAX_TEXT
    )

    def ask(self, desk: Desk, context: bpy.types.Context) -> None:
        words = (self.words or desk.face.adjustment).strip()
        beat = desk.beats[desk.index]
        steps = adjusting.read_adjustment(words)
        if not adjusting.phrases(steps):
            finish(_adjust(desk, beat.key, words, steps, ()))
            push_undo(self.bl_label)
            return
        # Each phrase is read for itself: what a tired face looks like, whatever this one is at.

        def adjusted(now: Desk, made: tuple[Keyframe, ...]) -> Steps[Any]:
            yield from _adjust(now, beat.key, words, steps, made)

        self.send(desk, context, "pose_each", adjusting.phrases_brief(steps), adjusted)


def _adjust(
    desk: Desk, key: int, words: str, steps: Sequence[adjusting.Step], made: tuple[Keyframe, ...]
) -> Steps[Any]:
    place = _place(desk, key)

    def change(beat: ShapedBeat) -> ShapedBeat:
        pose = adjusting.apply(beat.shown, steps, {keyframe.text: keyframe.pose for keyframe in made})
        text = f"{beat.text.rstrip('.;, ')}; {words}"[:MAX_TEXT]
        # A description that was edited and not yet posed stays to be posed.
        return beat_list.set_pose(beat, pose, text=text, posed=beat.posed if beat.edited else text)

    yield from desk.write_steps(beat_list.changed(desk.beats, place, change), select=key)
    with session().quiet():
        desk.face.adjustment = ""


CLASSES = (
    FACESCRIPT_OT_regenerate_beat,
    FACESCRIPT_OT_regenerate_unlocked,
    FACESCRIPT_OT_vary_beat,
    FACESCRIPT_OT_keep_variation,
    FACESCRIPT_OT_adjust_beat,
)
