# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances out, as JSON lines and as Live Link Face CSV; and all that goes in and out in Blender's File menu."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from ..performance import FacescriptError, jsonl, live_link, timecodes
from ..performance.pose import Array
from ..performance.saving import saved
from ..rig_mapping import captures, curves, timeline
from ..rig_mapping.targets import Target
from . import faces, importing
from .importing import ANGLE_ITEMS, FaceFile, FACESCRIPT_OT_import_performance
from .motion import chosen_style

# As much of a frame as is float noise.
_NOISE = 1e-3


class FACESCRIPT_OT_export_performance(FaceFile, bpy.types.Operator, ExportHelper):
    """Save the active face's performance as JSON lines"""

    bl_idname = "facescript.export_performance"
    bl_label = "Export Performance"

    filename_ext = ".jsonl"
    filter_glob: StringProperty(default="*.jsonl", options={"HIDDEN"})

    def run(self, context: bpy.types.Context, path: Path) -> None:
        """Write the beats."""
        performance = faces.active_face(context)[1].performance()
        with saved(path) as stream:
            stream.write(jsonl.to_line(jsonl.performance_to_dict(performance)))


class FACESCRIPT_OT_export_live_link(FaceFile, bpy.types.Operator, ExportHelper):
    """Save the active face's animation as Live Link Face CSV, one row a frame, for Unreal's MetaHuman"""

    bl_idname = "facescript.export_live_link"
    bl_label = "Export Live Link Face CSV"

    filename_ext = ".csv"
    filter_glob: StringProperty(default="*.csv", options={"HIDDEN"})
    source: EnumProperty(
        name="From",
        description="What is written; if not given, the beats if there are any",
        items=[
            ("BEATS", "Beats", "The performance as it was made, all channels of it, without your own keys"),
            ("TIMELINE", "Timeline", "What the face's keys show, yours too; only channels that the face has"),
        ],
        default="BEATS",
        options={"SKIP_SAVE"},
    )
    rate: FloatProperty(
        name="Rate",
        description="Rows a second. 0: those of the recording that the keys came from, else the scene's frame rate. "
        "Unreal's importer takes every file for one of 60",
        default=0.0,
        min=0.0,
        max=240.0,
        precision=3,
        options={"SKIP_SAVE"},
    )
    angles: EnumProperty(
        name="Angles",
        description="How the angles of head and eyes are written",
        items=[("AUTO", "Automatic", "As the recording that the keys came from had them, else -1 to 1"), *ANGLE_ITEMS],
        default="AUTO",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:  # type: ignore[override]
        """Ask for the file, with what will be written chosen beforehand."""
        try:
            _, face = faces.active_face(context)
            self.source = "BEATS" if face.beats else "TIMELINE"
        except FacescriptError:
            pass
        return super().invoke(context, event)  # type: ignore[func-returns-value]

    def run(self, context: bpy.types.Context, path: Path) -> None:
        """Sample the beats or the timeline."""
        target, face = faces.active_face(context)
        fps = timeline.scene_fps(context.scene)
        beats = self.source == "BEATS" if self.properties.is_property_set("source") else bool(face.beats)
        if beats:
            made = curves.channel_curves(face.performance(), fps, face.start_frame, chosen_style(face))
            rate = timecodes.exact_rate(self.rate, False) or fps
            frames = _grid(made.start, made.end, fps / rate)
            values, first = curves.sample(made, frames), made.start * rate / fps
        else:
            values, rate, first = _timeline(target, fps, timecodes.exact_rate(self.rate, False))
        source = None if beats else captures.source_of(target)
        angles = self.angles if self.angles != "AUTO" else source.angles if source is not None else "UNIT"
        live_link.write(path, values, rate, start_frame=first, angles=angles)


def _grid(start: float, end: float, step: float) -> Array:
    """Frames from `start` on, `step` apart, up to `end`."""
    return np.asarray(start + step * np.arange(int((end - start) / step + _NOISE) + 1))


def _timeline(target: Target, fps: float, rate: float) -> tuple[Array, float, float]:
    """What a face's keys show: poses (N, 61), rows a second, and the first row's frame at that rate.

    `rate` 0 is that of the recording that they came from, else `fps`; a recording keeps its timecodes.
    """
    span = captures.span(target)
    if span is None:
        raise FacescriptError("no_keyframes", "This face has no keys.", "Generate or import a performance first.")
    source = captures.source_of(target)
    rate = rate or (source.rate if source is not None else fps)
    step = fps / rate
    if source is None:
        frames, first = _grid(*span, step), span[0] / step
    else:
        before = np.ceil((span[0] - source.frame) / step - _NOISE)
        frames = _grid(source.frame + before * step, span[1], step)
        first = source.start * rate + before
    return timeline.sample_poses(target, frames), rate, max(0.0, float(first))


def _import_menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.operator(
        FACESCRIPT_OT_import_performance.bl_idname, text="Facescript Performance (.jsonl, .json, .csv)"
    )


def _export_menu(self: Any, context: bpy.types.Context) -> None:
    self.layout.operator(FACESCRIPT_OT_export_performance.bl_idname, text="Facescript Performance (.jsonl)")
    self.layout.operator(FACESCRIPT_OT_export_live_link.bl_idname, text="Live Link Face (.csv)")


CLASSES = (*importing.CLASSES, FACESCRIPT_OT_export_performance, FACESCRIPT_OT_export_live_link)


def register() -> None:
    """Add the entries to File > Import and File > Export."""
    bpy.types.TOPBAR_MT_file_import.append(_import_menu)
    bpy.types.TOPBAR_MT_file_export.append(_export_menu)


def unregister() -> None:
    """Undo `register`."""
    bpy.types.TOPBAR_MT_file_export.remove(_export_menu)
    bpy.types.TOPBAR_MT_file_import.remove(_import_menu)
