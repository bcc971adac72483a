# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: a recording through the file browser, by dropping, and back with one Undo."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import desk

NAME = "ARKit Face"


def key_count() -> int:
    api = desk.module("rig_mapping.blender_api")
    data = bpy.data.objects[NAME].data.shape_keys
    return sum(len(curve.keyframe_points) for curve in api.fcurves(api.find_place(data)))


def steps(found: dict[str, Any]) -> Iterator[float]:
    desk.install()
    # In a window of its own, an area of this window stays for the 3D View.
    bpy.context.preferences.view.filebrowser_display_type = "WINDOW"
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    bpy.ops.facescript.add_face("EXEC_DEFAULT", True)
    bpy.data.objects[NAME].facescript.start_frame = 5
    yield 1.0
    yield from desk.open_tab()

    recording = desk.SETTINGS["recording"]
    # As File > Import does.
    bpy.ops.facescript.import_performance("INVOKE_DEFAULT")
    yield 2.0
    desk.picture("browser")
    browsers = [
        area.spaces.active
        for window in bpy.context.window_manager.windows
        for area in window.screen.areas
        if area.type == "FILE_BROWSER"
    ]
    found["browser"] = browsers[0].active_operator.bl_idname if browsers else ""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "FILE_BROWSER":
                with bpy.context.temp_override(window=window, area=area):
                    bpy.ops.file.cancel()
    yield 1.0

    # As a file that is dropped on the 3D View does.
    area, _ = desk.view()
    with bpy.context.temp_override(area=area):
        found["droppable"] = bpy.types.FACESCRIPT_FH_performance.poll_drop(bpy.context)
        bpy.ops.facescript.import_performance("INVOKE_DEFAULT", filepath=recording)
    yield 1.5
    desk.picture("dropped")
    yield from desk.press("Return")
    yield 2.0
    found["keys"] = key_count()
    found["start"] = desk.module("rig_mapping.captures").span(
        desk.module("operators.faces").active_face(bpy.context)[0]
    )
    found["note"] = desk.module("operators.session").session().note
    desk.picture("keyed")
    bpy.ops.ed.undo()
    yield 1.0
    found["undone"] = key_count()
    bpy.ops.ed.redo()
    yield 1.0
    found["redone"] = key_count()
    bpy.ops.facescript.import_performance("EXEC_DEFAULT", filepath=recording, recording_as="BEATS")
    yield 1.5
    found["beats"] = len(bpy.data.objects[NAME].facescript.beats)
    desk.picture("beats")


desk.run(steps)
