# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances and recordings in: one operator, which tells a file's form by its content; files that are dropped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ..inference.plain_words import describe
from ..performance import (
    CHANNELS,
    HEAD_CHANNELS,
    INDEX,
    FacescriptError,
    Performance,
    beat_finding,
    forms,
    jsonl,
    keyframeface,
    live_link,
)
from ..performance.model import Brief, Keyframe
from ..performance.pose import Array, Pose
from ..performance.recording import Recording
from ..rig_mapping import blender_api, captures, curves, life_layer, timeline
from ..rig_mapping.steps import finish
from ..rig_mapping.targets import Target
from . import faces, markers
from .generate import write_steps
from .language import iface_, rpt_, tip_
from .motion import chosen_style
from .session import busy_reason, session
from .undo import push_undo

ANGLE_ITEMS = [
    ("RADIANS", "As the App", "Radians, with yaw to the right and pitch down positive: Live Link Face and Unreal"),
    ("UNIT", "-1 to 1", "As KeyframeFace's converter, with yaw to the left and pitch up positive"),
]
_ENDINGS = (".csv", ".jsonl", ".json", ".txt")
# A frame so near to a whole one is meant to be it: timecodes have thousandths of a frame.
_WHOLE = 5e-4


class FaceFile:
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
            self.run(context, Path(bpy.path.abspath(self.filepath)))  # type: ignore[attr-defined]
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        return {"FINISHED"}

    def run(self, context: bpy.types.Context, path: Path) -> None:
        """Read or write the file. May raise FacescriptError, with the scene as it was."""
        raise NotImplementedError


class FACESCRIPT_OT_import_performance(FaceFile, bpy.types.Operator, ImportHelper):
    """Put a performance or a recording (JSON lines, KeyframeFace, Live Link Face CSV) on the active face's timeline"""

    bl_idname = "facescript.import_performance"
    bl_label = "Import Performance"
    bl_options = {"REGISTER"}

    filter_glob: StringProperty(default=";".join(f"*{ending}" for ending in _ENDINGS), options={"HIDDEN"})
    filepath: StringProperty(
        name="File",
        description="The file to read",
        subtype="FILE_PATH",
        options={"HIDDEN", "SKIP_SAVE"} | blender_api.RELATIVE_PATH,
    )
    start_frame: IntProperty(
        name="Start Frame",
        description="Where it begins; if not given, the face's own",
        default=1,
        min=0,
        max=1_000_000,
        options={"SKIP_SAVE"},
    )
    number: IntProperty(
        name="Number",
        description="Which of the file's performances",
        default=1,
        min=1,
        max=1_000_000,
        options={"SKIP_SAVE"},
    )
    gap: FloatProperty(
        name="Gap",
        description="Seconds from one keyframe to the next, where the file gives no times",
        unit="TIME_ABSOLUTE",
        default=keyframeface.GAP,
        min=0.05,
        soft_max=5.0,
        max=60.0,
    )
    recording_as: EnumProperty(
        name="As",
        description="What a recording becomes",
        items=[
            (
                "KEYS",
                "Keys",
                "Few keys on each channel, all yours, within a bound of the recording at each of its frames",
            ),
            ("BEATS", "Beats", "The moments that are reached and held, as beats that can be shaped and made again"),
        ],
        default="KEYS",
    )
    bound: FloatProperty(
        name="Error",
        description="How far a key's curve may be off the recording, as a share of a full expression. "
        "0 keeps every frame",
        subtype="FACTOR",
        default=0.02,
        min=0.0,
        soft_max=0.2,
        max=1.0,
        precision=3,
    )
    beat_bound: FloatProperty(
        name="Beat Error",
        description="How far the face may be off the recording before there is another beat, as a share of a full "
        "expression",
        subtype="FACTOR",
        default=0.2,
        min=0.01,
        max=1.0,
    )
    whole_frames: BoolProperty(
        name="Whole Frames",
        description="Put keys on whole frames only. Otherwise they stand where the recording has its frames, which are "
        "between those of the scene if the rates differ",
    )
    smoothing: FloatProperty(
        name="Smoothing",
        description="Seconds over which the recording is smoothed (standard deviation); 0 leaves it as it is",
        unit="TIME_ABSOLUTE",
        default=0.0,
        min=0.0,
        soft_max=0.1,
        max=2.0,
        precision=3,
        step=1,
    )
    neutral: StringProperty(
        name="Neutral",
        description="A recording of the resting face, whose values are taken off those of this one",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"} | blender_api.RELATIVE_PATH,
    )
    rate: FloatProperty(
        name="Timecode Rate",
        description="Frames a second that the recording's timecodes count at, such as 29.97; 0 reads it from them",
        default=0.0,
        min=0.0,
        max=240.0,
        precision=3,
        options={"SKIP_SAVE"},
    )
    angles: EnumProperty(
        name="Angles",
        description="How the recording has the angles of head and eyes",
        items=[("AUTO", "Automatic", "Told by how its eyes move"), *ANGLE_ITEMS, ("DEGREES", "Degrees", "Degrees")],
        default="AUTO",
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a generation is running, nor where undo does not cover keys."""
        if reason := busy_reason(context):
            cls.poll_message_set(tip_(reason))
            return False
        return super().poll(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:  # type: ignore[override]
        """Ask for the file, or only for the settings if one was dropped."""
        with suppress(FacescriptError):
            self.start_frame = faces.active_face(context)[1].start_frame
        if not self.filepath:
            context.window_manager.fileselect_add(self)
            return {"RUNNING_MODAL"}
        return set(context.window_manager.invoke_props_dialog(self))

    def draw(self, context: bpy.types.Context) -> None:
        layout, ending = self.layout, self._ending(context)
        layout.use_property_split, layout.use_property_decorate = True, False
        layout.prop(self, "start_frame")
        if ending != ".csv":
            _settings(self, "Performance", "TEXT", ("number", "gap"))
        if ending not in (".jsonl", ".json"):
            shown = ("bound", "whole_frames") if self.recording_as == "KEYS" else ("beat_bound",)
            _settings(self, "Recording", "REC", ("recording_as", *shown, "smoothing", "neutral", "rate", "angles"))

    def _ending(self, context: bpy.types.Context) -> str:
        """The ending of the file that is chosen at the moment."""
        params = getattr(context.space_data, "params", None)
        return Path(params.filename if params is not None else self.filepath).suffix.lower()

    def run(self, context: bpy.types.Context, path: Path) -> None:
        """Read the file and write what it holds."""
        # What is half followed would be finished over it.
        session().settle()
        target, face = faces.active_face(context)
        face.check_editable()
        start = self.start_frame if self.properties.is_property_set("start_frame") else face.start_frame
        form = forms.form_of(path)
        if form != "CSV":
            self._perform(context, target, face, start, self._chosen(path, form == "ANSWERS"), path)
            return
        recording = self._recorded(path)
        if self.recording_as == "KEYS":
            self._key(context, target, face, start, recording, path)
            return
        fps = timeline.scene_fps(context.scene)
        made, note = _beats(recording, face, start, fps, self.beat_bound, path.stem)
        self._perform(context, target, face, start, made, path, note, recording.warnings)

    def _perform(
        self,
        context: bpy.types.Context,
        target: Target,
        face: Any,
        start: int,
        performance: Performance,
        path: Path,
        note: str = "",
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Write beats; those that are locked stay."""
        brief = performance.brief
        with _restored(face):
            face.start_frame = start
            if brief.script or brief.background or brief.emotion:
                face.text, face.script = None, brief.script
                face.background, face.emotion = brief.background, brief.emotion
            finish(write_steps(context.scene, target, performance, path.name, "Import Performance"))
        self._tell(" ".join(filter(None, (session().note, note))), warnings)

    def _recorded(self, path: Path) -> Recording:
        """The recording, calibrated and smoothed as it is wanted."""
        recording = live_link.read(path, self.rate or None, angles=self.angles)
        other = live_link.beside(path)
        if self.neutral:
            # A face at rest does not tell how its angles are written.
            neutral = live_link.read(Path(bpy.path.abspath(self.neutral)), angles=recording.angles)
            recording = recording.calibrated(neutral)
        elif other is not None and path.stem.endswith("_raw"):
            more = f"There is a neutral recording beside it: {other.name}."
            recording = replace(recording, warnings=(*recording.warnings, more))
        return recording.smoothed(self.smoothing)

    def _chosen(self, path: Path, answers: bool) -> Performance:
        """The performance of that number in the file; beats without words get them."""
        found = iter(keyframeface.read(path, self.gap)) if answers else jsonl.read_performances(path)
        performances = list(itertools.islice(found, self.number))
        if not performances:
            raise FacescriptError("no_keyframes", f"{path} holds no performance.", "Choose another file.")
        if len(performances) < self.number:
            what = f"{path} holds {len(performances)} performances, and no number {self.number}."
            raise FacescriptError("no_keyframes", what, "Choose a lower number.")
        chosen = performances[-1]
        return _named(chosen, path.stem) if answers else chosen

    def _key(
        self, context: bpy.types.Context, target: Target, face: Any, start: int, recording: Recording, path: Path
    ) -> None:
        """Write a recording as keys; a performance that is there goes."""
        fps = timeline.scene_fps(context.scene)
        frames = _whole(start + recording.times * fps)
        poses = recording.values
        if self.whole_frames:
            frames = np.arange(np.ceil(frames[0]), np.floor(frames[-1]) + 1.0)
            poses = recording.at((frames - start) / fps)
        poses = _without_head(poses) if not face.move_head else poses
        captures.check(poses, frames)
        moving = [channel.name for channel, values in zip(CHANNELS, poses.T, strict=True) if values.any()]
        timeline.check(target, start_frame=start, seconds=float(recording.times[-1]), fps=fps, channels=moving)
        _take_off(context, target, face)
        source = captures.Source(path.name, recording.rate, recording.start, float(start), recording.angles)
        report = finish(captures.write_steps(target, poses, frames, source, self.bound))
        warnings = finish(life_layer.follow(target))
        face.start_frame = start
        note = (
            f"{report.keys} keys on {report.curves} F-curves for {report.moments} frames, "
            f"none off by more than {report.error:.3f}."
        )
        if report.end > context.scene.frame_end:
            note += f" They end at frame {report.end:.0f}, after the scene's end."
        self._tell(" ".join((note, *report.warnings, *warnings)), recording.warnings)
        push_undo("Import Performance")

    def _tell(self, note: str, warnings: tuple[str, ...]) -> None:
        session().error = None
        session().note = " ".join((note, *warnings))
        self.report({"WARNING" if warnings else "INFO"}, rpt_(session().note))


def _settings(operator: Any, title: str, icon: Any, names: tuple[str, ...]) -> None:
    """Draw some of an operator's properties in a box."""
    body = operator.layout.box().column()
    body.label(text=iface_(title), icon=icon)
    for name in names:
        body.prop(operator, name)


@contextmanager
def _restored(face: Any) -> Iterator[None]:
    """Give a face its script and start again if something fails."""
    names = ("text", "script", "background", "emotion", "start_frame")
    kept = {name: getattr(face, name) for name in names}
    try:
        yield
    except FacescriptError:
        for name, value in kept.items():
            setattr(face, name, value)
        raise


def _without_head(poses: Array) -> Array:
    still = poses.copy()
    still[:, [INDEX[name] for name in HEAD_CHANNELS]] = 0.0
    return still


def _whole(frames: Array) -> Array:
    near = np.rint(frames)
    return np.where(np.abs(frames - near) < _WHOLE, near, frames)


def _take_off(context: bpy.types.Context, target: Target, face: Any) -> None:
    """Remove the performance that is there. Raises FacescriptError (`locked_beats`) if beats of it are locked."""
    if any(row.locked for row in face.beats):
        hint = "Unlock them, or begin a new take."
        raise FacescriptError("locked_beats", "Keys would replace beats that are locked.", hint)
    if not face.beats:
        return
    timeline.clear(target)
    finish(markers.remove(context.scene, face.beats))
    face.beats.clear()
    face.performed, face.model = "", ""


def _named(performance: Performance, name: str) -> Performance:
    """The performance with a name, and with words for poses that have none."""
    worded = tuple(k if k.text else replace(k, text=describe(k.pose)) for k in performance.keyframes)
    return Performance(replace(performance.brief, id=name), worded)


def _beats(recording: Recording, face: Any, start: int, fps: float, bound: float, name: str) -> tuple[Performance, str]:
    """A recording as a performance of its beats, and how far that is off as the face will play it."""
    style, times = chosen_style(face), recording.times
    values = recording.values if face.move_head else _without_head(recording.values)
    captures.check(values, start + times * fps)

    def made(moments: beat_finding.Indices) -> Performance:
        return Performance(Brief(""), tuple(Keyframe(float(times[i]), "", Pose(values[i])) for i in moments))

    def played(moments: beat_finding.Indices) -> Array:
        return curves.sample(curves.channel_curves(made(moments), fps, start, style), start + times * fps)

    moments = beat_finding.find_beats(times, values, bound=bound, played=played)
    off = np.abs(played(moments) - values)
    worst = CHANNELS[int(off.max(axis=0).argmax())].name
    note = f"The face is {off.mean():.3f} off the recording on average, and {off.max():.2f} at most ({worst})."
    return _named(made(moments), name), note


class FACESCRIPT_FH_performance(bpy.types.FileHandler):
    """Files with performances or recordings that are dropped on the 3D View"""

    bl_idname = "FACESCRIPT_FH_performance"
    bl_label = "Facescript Performance"
    bl_import_operator = FACESCRIPT_OT_import_performance.bl_idname
    bl_file_extensions = ".csv;.jsonl;.json"

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        """A 3D View in which something is active."""
        area = context.area
        return area is not None and area.type == "VIEW_3D" and context.view_layer.objects.active is not None


CLASSES = (FACESCRIPT_OT_import_performance, FACESCRIPT_FH_performance)
