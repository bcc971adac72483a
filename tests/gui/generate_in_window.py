# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: open the panel, press Generate, undo and redo."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import desk


def keys(obj: Any) -> list[tuple[str, int, float]]:
    """Every key on the face's shape keys: path, frame, value."""
    api = desk.module("rig_mapping.blender_api")
    place = api.find_place(obj.data.shape_keys)
    return sorted(
        (curve.data_path, round(point.co.x), round(point.co.y, 5))
        for curve in api.fcurves(place)
        for point in curve.keyframe_points
    )


def looks() -> dict[str, Any]:
    """What can be told from the pictures of the window without reading them."""
    area, region = desk.view()
    height = bpy.context.window.height
    side = slice(height - region.y - region.height, height - region.y), slice(region.x, region.x + region.width)
    middle = slice(100, height - area.y), slice(area.x + area.width // 4, area.x + area.width // 2)
    seen = {name: desk.pixels(desk.FOLDER / f"{name}.png") for name in ("ready", "running", "last_beat")}

    def blue(image: Any) -> float:
        part = image[side]
        return float(((part[..., 2] > 0.55) & (part[..., 0] < 0.4)).mean())

    changed = abs(seen["ready"][middle] - seen["last_beat"][middle]).max(axis=2) > 0.1
    return {name: {"blue": blue(image)} for name, image in seen.items()} | {"face_changed": float(changed.mean())}


def steps(found: dict[str, Any]) -> Iterator[float]:
    desk.install()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    area, _ = desk.view()
    yield from desk.open_tab()
    found["no_face"] = str(desk.picture("no_face"))
    bpy.ops.facescript.add_face()
    with bpy.context.temp_override(area=area, region=next(r for r in area.regions if r.type == "WINDOW")):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_all(use_all_regions=False)
    yield 1.0
    obj = bpy.context.view_layer.objects.active
    face = obj.facescript
    face.script = "You got the job?! (She laughs.) Oh, come here!"
    face.background, face.emotion = "Two sisters on a station platform", "Giddy relief"
    bpy.ops.ed.undo_push(message="Script")
    yield 0.5
    desk.picture("ready")

    panel = desk.module("panels.sidebar").FACESCRIPT_PT_script
    plain_draw = panel.draw

    def draw_red(self: Any, context: Any) -> None:
        self.layout.alert = True
        self._draw_generate(context, context.region.width)

    def flag(on: bool) -> None:
        panel.draw = draw_red if on else plain_draw

    # Drawn alone and in red, the button moves up; so the first picture is of the button drawn alone too.
    panel.draw = lambda self, context: self._draw_generate(context, context.region.width)
    spot: Any = None
    search = desk.find_button(flag)
    for spot in search:
        if isinstance(spot, tuple):
            break
        yield spot
    panel.draw = lambda self, context: self._draw_generate(context, context.region.width)
    area.tag_redraw()
    yield 0.6
    session = desk.module("operators.session").session()
    found["spot"] = spot
    yield from desk.click(*spot)
    panel.draw = plain_draw
    for _ in range(100):
        yield 0.1
        if session.busy:
            break
    found["started"] = session.busy
    seen: set[str] = set()
    # Between the first beat and the last pose is a fraction of a second.
    for _ in range(15000):
        if session.job and session.job.collector.beats and "streaming" not in seen:
            seen.add("streaming")
            found["keys_while_running"] = len(keys(obj))
            desk.picture("running")
        if not session.busy:
            break
        yield 0.02
    yield 0.5
    found["session_error"] = str(session.error) if session.error else ""
    found["beats"] = [[beat.frame, beat.text] for beat in obj.facescript.beats]
    found["keys"] = keys(obj)
    found["seen"] = sorted(seen)
    desk.picture("done")
    yield from desk.press("ctrl+z")
    obj = bpy.data.objects["ARKit Face"]
    found["keys_after_undo"] = len(keys(obj))
    found["beats_after_undo"] = len(obj.facescript.beats)
    found["script_after_undo"] = obj.facescript.script
    yield from desk.press("ctrl+shift+z")
    obj = bpy.data.objects["ARKit Face"]
    found["keys_after_redo"] = keys(obj)
    obj.facescript.active_beat = len(obj.facescript.beats) - 1
    # Panels that come back slide open first.
    yield 2.0
    found["frame"] = bpy.context.scene.frame_current
    desk.picture("last_beat")
    found["pictures"] = looks()


desk.run(steps)
