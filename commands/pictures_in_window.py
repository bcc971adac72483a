# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: takes a user's first steps, and a picture of each for the documentation."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy as module

# Its stubs take what is there in a window for optional, and know no add-on's operators.
bpy: Any = module

_SETTINGS = json.loads(Path(os.environ["FACESCRIPT_GUI"], "settings.json").read_text(encoding="utf-8"))
sys.path.insert(0, _SETTINGS["gui"])
import desk  # type: ignore[import-not-found]  # noqa: E402

SCRIPT = "You got the job?! (She laughs.) Oh, come here!"
BACKGROUND = "Two sisters on a station platform"
EMOTION = "Giddy relief"
# The longest that a generation may take, in seconds.
_PATIENCE = 1500.0
# A PNG with a palette: as small as it gets, and text stays sharp.
_PALETTE = ("-strip", "+dither", "-colors", "255", "-define", "png:compression-level=9")


def shoot(found: dict[str, Any], name: str, *boxes: tuple[int, int, int, int]) -> None:
    """A picture of the window, or of boxes (x, y, width, height, from the top left) of it side by side."""
    whole = desk.picture(f"whole_{name}")
    shrink(found, name, whole, *boxes)


def shrink(found: dict[str, Any], name: str, source: Path, *boxes: tuple[int, int, int, int]) -> None:
    """Cut boxes out of a picture, and save it small as `name`.png."""
    parts = [["(", str(source), "-crop", "{2}x{3}+{0}+{1}".format(*box), "+repage", ")"] for box in boxes]
    command = ["convert", *(word for part in parts for word in part), "+append"] if boxes else ["convert", str(source)]
    subprocess.run([*command, *_PALETTE, f"PNG8:{desk.FOLDER / name}.png"], check=True)
    found["pictures"].append(name)


def box_of(region: Any, bottom: int = 0) -> tuple[int, int, int, int]:
    """A region or an area as a box; `bottom` cuts it off that far below its top."""
    top = bpy.context.window.height - region.y - region.height
    return region.x, top, region.width, min(region.height, bottom or region.height)


def area_of(kind: str) -> Any:
    """The window's largest area of a type."""
    areas = [area for area in bpy.context.window.screen.areas if area.type == kind]
    return max(areas, key=lambda area: area.width * area.height)


def show_preferences(found: dict[str, Any]) -> Iterator[float]:
    """The preferences before set-up, in the 3D View's place."""
    preferences = bpy.context.preferences
    # Its own folder, where nothing is set up yet.
    preferences.addons[desk.PACKAGE].preferences.runtime_folder = ""
    area = area_of("VIEW_3D")
    area.type = "PREFERENCES"
    yield 1.0
    preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Facescript"
    addons: Any = importlib.import_module("addon_utils")
    for addon in addons.modules():
        if addon.__name__ == desk.PACKAGE:
            addons.module_bl_info(addon)["show_expanded"] = True
    area.tag_redraw()
    yield 1.5
    shoot(found, "01_preferences", box_of(area, 620))
    area.type = "VIEW_3D"
    preferences.addons[desk.PACKAGE].preferences.runtime_folder = desk.SETTINGS["runtime"]
    yield 1.0


def open_menu(face: Any) -> Iterator[float]:
    """Open the emotion presets with a click: their button stands right above the emotion's own field."""
    _, region = desk.view()
    spot: Any = None

    def flag(on: bool) -> None:
        face.emotion = "W" * 24 if on else ""

    for spot in desk.find_button(flag):
        if isinstance(spot, tuple):
            break
        yield spot
    unit = round(20 * bpy.context.preferences.system.ui_scale)
    yield from desk.click(region.x + region.width - 2 * unit, spot[1] - round(1.15 * unit))
    yield 1.0


def drag_up(x: int, y: int, by: int) -> Iterator[float]:
    """Drag what is at a point of the screen, counted from the top left."""
    for number, place in enumerate((y, y - by // 2, y - by)):
        subprocess.run(["xdotool", "mousemove", str(x), str(place)], check=True)
        yield 0.3
        if number == 0:
            subprocess.run(["xdotool", "mousedown", "1"], check=True)
            yield 0.3
    subprocess.run(["xdotool", "mouseup", "1"], check=True)
    yield 0.7


def make_room() -> Iterator[float]:
    """A dope sheet of the shape keys' keys, higher than the timeline that it takes the place of."""
    area = area_of("DOPESHEET_EDITOR")
    area.ui_type = "DOPESHEET"
    yield 0.5
    space = area.spaces.active
    space.mode = "SHAPEKEY"
    space.dopesheet.show_expanded_summary = True
    if hasattr(space, "show_region_channels"):
        space.show_region_channels = True
    edge = bpy.context.window.height - area.y - area.height
    yield from drag_up(area.x + area.width // 3, edge, 230)
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(area=area, region=region):
        bpy.ops.action.view_all()
    yield 0.5


def frame_face() -> Iterator[float]:
    """The face from the front, as large as the view allows."""
    area, _ = desk.view()
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(area=area, region=region):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected(use_all_regions=False)
    yield 1.0


def steps(found: dict[str, Any]) -> Iterator[float]:
    found["pictures"] = []
    for name, path in desk.SETTINGS["others"].items():
        shrink(found, name, Path(path))
    desk.install()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    yield from show_preferences(found)
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from desk.open_tab()
    bpy.ops.facescript.add_face()
    bpy.ops.ed.undo_push(message="Add ARKit Face")
    yield from frame_face()
    # Panels slide to their places.
    for _ in range(6):
        desk.view()[1].tag_redraw()
        yield 0.5
    shoot(found, "02_face_added")

    face = bpy.context.view_layer.objects.active.facescript
    face.script, face.background = SCRIPT, BACKGROUND
    yield from open_menu(face)
    area, region = desk.view()
    top = box_of(area)[1]
    shoot(found, "06_emotion_presets", (region.x - 30, top, region.width + 250, bpy.context.window.height - top))
    yield from desk.press("Escape")
    face.emotion = EMOTION
    area.tag_redraw()
    yield 1.0
    shoot(found, "03_script_ready")
    shoot(found, "03_sidebar", box_of(region, 560))

    session = desk.module("operators.session").session()
    begin = time.monotonic()
    bpy.ops.facescript.generate()
    while session.busy and time.monotonic() - begin < _PATIENCE:
        if session.job.collector.keyframes:
            yield 0.3
            shoot(found, "04_generating", box_of(region, 680))
            break
        yield 0.1
    while session.busy and time.monotonic() - begin < _PATIENCE:
        yield 0.2
    found["seconds"] = round(time.monotonic() - begin)
    found["session_error"] = str(session.error or "")
    face = bpy.context.view_layer.objects.active.facescript
    found["beats"] = [[beat.frame, beat.text] for beat in face.beats]
    found["note"] = session.note
    bpy.context.scene.frame_end = face.beats[-1].frame + 24
    face.active_beat = 1
    for _ in range(4):
        desk.view()[1].tag_redraw()
        yield 0.5
    shoot(found, "05_sidebar", box_of(desk.view()[1], 680))
    yield from make_room()
    yield from frame_face()
    shoot(found, "05_done")


desk.run(steps)
