# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate and Cancel: from the face's script to keyframes on the timeline."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ..inference.client import Collector
from ..inference.scripts.script import read_script
from ..inference.scripts.timing import SHORTEST, schedule
from ..inference.setup.runtime import Runtime
from ..performance import CHANNELS, HEAD_CHANNELS, FacescriptError, Performance, beat_list, jsonl
from ..rig_mapping import timeline
from ..rig_mapping.steps import Steps
from ..rig_mapping.styles import DEFAULT
from ..rig_mapping.targets import Target
from . import faces, preferences
from .desk import Desk, follow_steps, merged, read_steps
from .held import Held
from .language import rpt_, tip_
from .properties import STYLE_ITEMS
from .session import TICK, busy_reason, redraw, session, watch
from .undo import push_undo

# What the operator can be given; the first three are what is performed.
_GIVEN = ("script", "background", "emotion", "start_frame", "style", "seed")


def usable_runtime(context: bpy.types.Context) -> Runtime:
    """The runtime that works. Raises FacescriptError (`no_runtime`) if it is not set up."""
    runtime = preferences.worker_runtime(context)
    state = runtime.state()
    if not state.usable:
        raise FacescriptError("no_runtime", state.sentence, "Set Up is in the sidebar and in the preferences.")
    return runtime


def wait() -> None:
    """Work until the generation is done. Raises its error, and one for an interruption (Ctrl C), which ends it."""
    try:
        while session().step():
            if session().writing:
                session().settle()
                break
            time.sleep(TICK / 5)
    except KeyboardInterrupt:
        session().stop_worker(patience=0.0)
        raise FacescriptError("interrupted", "Interrupted. The timeline is as it was.", "Generate again.") from None
    except BaseException:
        session().stop_worker(patience=0.0)
        raise
    if session().error:
        raise session().error


class FACESCRIPT_OT_generate(bpy.types.Operator):
    """Turn the script into keyframes on the active face's shape keys"""

    bl_idname = "facescript.generate"
    bl_label = "Generate Performance"
    bl_options = {"REGISTER"}

    script: StringProperty(name="Script", description="What is performed; if not given, the face's own script")
    background: StringProperty(name="Background", description="The situation; if not given, the face's own")
    emotion: StringProperty(name="Emotion", description="The emotional direction; if not given, the face's own")
    start_frame: IntProperty(
        name="Start Frame", description="Where it begins; if not given, the face's own", default=1, min=0, max=1_000_000
    )
    style: EnumProperty(
        name="Style", description="How it moves; if not given, the face's own", items=STYLE_ITEMS, default=DEFAULT
    )
    seed: IntProperty(
        name="Seed", description="The take; if not given, the face's own", default=0, min=0, max=2**31 - 1
    )
    wait: BoolProperty(
        name="Wait",
        description="Return only when the keys are written, for scripts and pipelines",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether Generate can work, as far as that is known without searching the scene."""
        if reason := busy_reason(context):
            cls.poll_message_set(tip_(reason))
            return False
        found = None if bpy.app.background else faces.remembered(context)
        if found is not None and found.error is not None:
            cls.poll_message_set(tip_(str(found.error)))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            self._start(context)
            if self.wait:
                wait()
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        if not self.wait:
            watch()
        return {"FINISHED"}

    def _start(self, context: bpy.types.Context) -> None:
        target, face = faces.active_face(context)
        given = {name: getattr(self, name) for name in _GIVEN if self.properties.is_property_set(name)}
        brief = replace(face.brief(), **{name: given[name] for name in _GIVEN[:3] if name in given})
        # Found here rather than in the worker: an error in the script is shown at once, and nothing is changed.
        moments = read_script(brief.script)
        jsonl.brief_from_dict(jsonl.brief_to_dict(brief))
        face.check_editable()
        runtime = usable_runtime(context)
        head = face.move_head
        timeline.check(
            target,
            start_frame=given.get("start_frame", face.start_frame),
            seconds=schedule(moments)[-1],
            fps=timeline.scene_fps(context.scene),
            channels=[channel.name for channel in CHANNELS if head or channel.name not in HEAD_CHANNELS],
        )
        for name, value in given.items():
            setattr(face, name, value)
        if "script" in given:
            face.text = None
        held = Held(target, context.scene)

        def finish(made: Collector) -> Steps[None]:
            _, scene = held.find()
            yield from write_steps(scene, held.target, made.performance(), made.label, "Generate Performance")

        options = preferences.model_options(context)
        session().start(runtime, "generate", brief, options, face.seed, target.name, finish, held.sight)
        redraw()


def write_steps(scene: Any, target: Target, performance: Performance, label: str, message: str) -> Steps[None]:
    """Write a performance to the timeline and the face's list of beats, as one step of undo named `message`.

    Raises FacescriptError, with the scene as it was, if the face is gone or cannot be written.
    """
    faces.settings_of(target).check_editable()
    yield from read_steps(faces.settings_of(target))
    desk = Desk.of(target, faces.settings_of(target), scene)
    if desk.beats:
        yield from follow_steps(desk)
    frames = timeline.beat_frames(performance, desk.fps, desk.face.start_frame)
    locked = [beat for beat in desk.beats if beat.locked]
    made = beat_list.from_performance(performance, [int(frame) for frame in frames])
    desk.brief = performance.brief
    report = yield from desk.write_steps(merged(locked, made, round(SHORTEST / 2 * desk.fps)))
    desk.face.model = label
    with session().quiet():
        desk.face.active_beat = 0
    session().note = _summary(scene, report, len(locked))
    push_undo(message)


def _summary(scene: bpy.types.Scene, report: timeline.WriteReport, locked: int) -> str:
    note = f"{len(report.beats)} beats, {report.keys} keys on {report.curves} F-curves."
    if locked:
        note += f" {locked} locked {'beat' if locked == 1 else 'beats'} stayed."
    if report.end > scene.frame_end:
        note += f" They end at frame {report.end}, after the scene's end."
    return " ".join((note, *report.warnings))


class FACESCRIPT_OT_cancel(bpy.types.Operator):
    """Stop the generation that is running; the timeline stays as it was"""

    bl_idname = "facescript.cancel"
    bl_label = "Cancel Generation"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while a generation is running."""
        if not session().busy:
            cls.poll_message_set(tip_("No generation is running"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        session().cancel()
        return {"FINISHED"}


class FACESCRIPT_OT_start_here(bpy.types.Operator):
    """Begin the performance at the current frame"""

    bl_idname = "facescript.start_here"
    bl_label = "Start at Current Frame"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            _, face = faces.active_face(context)
        except FacescriptError as error:
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        face.start_frame = max(0, context.scene.frame_current)
        return {"FINISHED"}


CLASSES = (FACESCRIPT_OT_generate, FACESCRIPT_OT_cancel, FACESCRIPT_OT_start_here)
