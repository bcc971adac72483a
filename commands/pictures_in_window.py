# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: a session from the preferences to the plot, with a picture of each step for the
documentation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
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
NEW_TEXT = "Left brow shoots up, lips pursed, eyes looking to the left"
WORDS = "more tired, close the left eye"
# The longest that a generation may take, in seconds.
_PATIENCE = 1500.0
# A PNG with a palette: as small as it gets, and text stays sharp.
_PALETTE = ("-strip", "+dither", "-colors", "255", "-define", "png:compression-level=9")


Box = tuple[int, int, int, int]


def shoot(found: dict[str, Any], name: str, *boxes: Box) -> None:
    """A picture of the window, or of boxes (x, y, width, height, from the top left) of it side by side."""
    whole = desk.picture(f"whole_{name}")
    shrink(found, name, *[(whole, box) for box in boxes or (None,)])


def shrink(found: dict[str, Any], name: str, *parts: tuple[Path, Box | None]) -> None:
    """Save pictures, or boxes of them, side by side and small as `name`.png."""
    command = ["convert"]
    for source, box in parts:
        cut = ["-crop", "{2}x{3}+{0}+{1}".format(*box), "+repage"] if box else []
        command += ["(", str(source), *cut, ")"]
    subprocess.run([*command, "+append", *_PALETTE, f"PNG8:{desk.FOLDER / name}.png"], check=True)
    found["pictures"].append(name)


def box_of(region: Any, bottom: int = 0) -> Box:
    """A region or an area as a box; `bottom` cuts it off that far below its top."""
    top = bpy.context.window.height - region.y - region.height
    return region.x, top, region.width, min(region.height, bottom or region.height)


def work_box() -> Box:
    """The 3D View and what is below it, without the bar at the bottom, as a box."""
    x, top, width, _ = box_of(area_of("VIEW_3D"))
    return x, top, width, bpy.context.window.height - top - round(26 * bpy.context.preferences.system.ui_scale)


def middle_of(area: Any, width: int) -> Box:
    """The middle of an area as a box."""
    x, top, whole, height = box_of(area)
    return x + (whole - width) // 2, top, width, height


def area_of(kind: str) -> Any:
    """The window's largest area of a type."""
    areas = [area for area in bpy.context.window.screen.areas if area.type == kind]
    return max(areas, key=lambda area: area.width * area.height)


def show_preferences(found: dict[str, Any]) -> Iterator[float]:
    """The preferences before set-up, in the 3D View's place."""
    preferences = bpy.context.preferences
    # Its own folder, where nothing is set up yet.
    preferences.addons[desk.PACKAGE].preferences.runtime_folder = ""
    online, preferences.system.use_online_access = preferences.system.use_online_access, True
    area = area_of("VIEW_3D")
    area.type = "PREFERENCES"
    yield 1.0
    desk.unfold_preferences(area)
    yield 1.5
    shoot(found, "01_preferences", box_of(area, 620))
    area.type = "VIEW_3D"
    preferences.system.use_online_access = online
    preferences.addons[desk.PACKAGE].preferences.runtime_folder = desk.SETTINGS["runtime"]
    yield 1.0


def inside(kind: str) -> AbstractContextManager[Any]:
    """As if the pointer were in an editor's main region."""
    found = area_of(kind)
    region = next(r for r in found.regions if r.type == "WINDOW")
    return bpy.context.temp_override(window=bpy.context.window, area=found, region=region)


def settle(seconds: float = 3.0) -> Iterator[float]:
    """Wait until panels have slid to their places, with the pointer where nothing lights up."""
    area, region = desk.view()
    place = region.x - 60, bpy.context.window.height - area.y - 8
    subprocess.run(["xdotool", "mousemove", str(place[0]), str(place[1])], check=True)
    for _ in range(round(seconds / 0.5)):
        area.tag_redraw()
        yield 0.5


_marked = ""


def _draw_mark(panel: Any, context: Any) -> None:
    if panel.bl_idname == _marked:
        panel.layout.label(text="W" * 12)


def mark_headers() -> None:
    """Let panels' headers draw a mark, by which they are found: Blender does not say where they are."""
    panels = desk.module("panels")
    panels.unregister()
    for cls in panels._CLASSES:
        if issubclass(cls, bpy.types.Panel) and "draw_header" not in vars(cls):
            cls.draw_header = _draw_mark
    panels.register()


def _mark(name: str, on: bool) -> None:
    global _marked
    _marked = f"FACESCRIPT_PT_{name}" if on else ""


def toggle(*names: str) -> Iterator[float]:
    """Open or close panels with a click on their headers."""
    for name in names:
        yield from settle(1.0)
        spot: Any = None
        for spot in desk.find_button(partial(_mark, name)):
            if isinstance(spot, tuple):
                break
            yield spot
        _, region = desk.view()
        yield from desk.click(region.x + region.width // 2, spot[1])
    yield from settle()


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


def drag_up(kind: str, by: int) -> Iterator[float]:
    """Drag the upper edge of an editor."""
    area = area_of(kind)
    x, y = area.x + area.width // 3, bpy.context.window.height - area.y - area.height
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
    yield from drag_up("DOPESHEET_EDITOR", 230)
    with inside("DOPESHEET_EDITOR"):
        bpy.ops.action.view_all()
        # Room for the last marker's name.
        bpy.ops.view2d.zoom_out("EXEC_DEFAULT", zoomfacx=-0.3, zoomfacy=0.0)
    yield 0.5


def frame_face() -> Iterator[float]:
    """The face from the front, as large as the view allows."""
    with inside("VIEW_3D"):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected(use_all_regions=False)
    yield 1.0


def face() -> Any:
    """The settings of the face that is performed on."""
    return bpy.context.view_layer.objects.active.facescript


def beside_face() -> Box:
    """The sidebar with the face to its left, as a box."""
    area, region = desk.view()
    x, top, width, height = box_of(region)
    # The view is seen through the sidebar's free part, so the face is in the middle of the whole area.
    left = area.x + area.width // 2 - 240
    return left, top, x + width - left, min(height, 760)


def wait_for_model() -> Iterator[float]:
    """Wait until a request is answered and written."""
    session = desk.module("operators.session").session()
    begin = time.monotonic()
    while session.busy and time.monotonic() - begin < _PATIENCE:
        yield 0.2
    assert session.error is None, session.error
    yield from settle()


def first_steps(found: dict[str, Any]) -> Iterator[float]:
    """A face, and a script for it."""
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from desk.open_tab()
    desk.view()[0].spaces.active.overlay.show_text = False
    bpy.ops.facescript.add_face()
    bpy.ops.ed.undo_push(message="Add ARKit Face")
    yield from frame_face()
    yield from settle()
    shoot(found, "02_face_added", work_box())

    settings = face()
    settings.script, settings.background = SCRIPT, BACKGROUND
    yield from open_menu(settings)
    area, region = desk.view()
    top = box_of(area)[1]
    shoot(found, "06_emotion_presets", (region.x - 30, top, region.width + 250, bpy.context.window.height - top))
    yield from desk.press("Escape")
    settings.emotion = EMOTION
    yield from settle(1.0)
    shoot(found, "03_script_ready", work_box())
    shoot(found, "03_sidebar", box_of(region, 560))


def map_face(found: dict[str, Any]) -> Iterator[float]:
    """The mapping's table, with a channel that is tried."""
    yield from toggle("script", "beats", "mapping")
    bpy.ops.facescript.edit_mapping()
    table = bpy.context.view_layer.objects.active.facescript_mapping
    places = {row.channel: place for place, row in enumerate(table.rows)}
    table.rows[places["jawOpen"]].gain = 0.8
    table.active = places["cheekPuff"]
    bpy.ops.facescript.remove_map_row()
    table.active = places["mouthSmileLeft"]
    bpy.context.window_manager.facescript_view.attempt = 1.0
    yield from frame_face()
    yield from settle()
    shoot(found, "15_mapping", beside_face())
    bpy.ops.facescript.stop_test()
    bpy.ops.facescript.automatic_mapping()
    yield from toggle("mapping", "beats", "script")


def drop_recording(found: dict[str, Any]) -> Iterator[float]:
    """What is asked of a recording that is dropped on the 3D View."""
    path = desk.FOLDER / "take.csv"
    desk.module("performance.live_link").write(path, desk.np.zeros((2, 61)), 60.0)
    yield from settle()
    plain = desk.pixels(desk.picture("plain"))
    with bpy.context.temp_override(area=desk.view()[0]):
        bpy.ops.facescript.import_performance("INVOKE_DEFAULT", filepath=str(path))
    yield 1.5
    asked = desk.picture("whole_16_recording")
    changed = abs(desk.pixels(asked) - plain).max(axis=2) > 0.02
    (left, right), (top, bottom) = (desk.np.flatnonzero(changed.any(axis=axis))[[0, -1]] for axis in (0, 1))
    shrink(found, "16_recording", (asked, (int(left), int(top), int(right - left) + 1, int(bottom - top) + 1)))
    yield from desk.press("Escape")


def shoot_generation(found: dict[str, Any]) -> Iterator[float]:
    """A picture of the beats that have come: the rest of them is taken in afterwards."""
    module = desk.module("operators.session")
    bpy.app.timers.unregister(module._tick)
    yield from settle(1.5)
    shoot(found, "04_generating", box_of(desk.view()[1], 680))
    module.watch()


def perform(found: dict[str, Any]) -> Iterator[float]:
    """Press Generate, and look at what came."""
    session = desk.module("operators.session").session()
    begin = time.monotonic()
    bpy.ops.facescript.generate()
    while session.busy and time.monotonic() - begin < _PATIENCE:
        if session.job.collector.beats:
            yield from shoot_generation(found)
            break
        yield 0.02
    yield from wait_for_model()
    found["seconds"] = round(time.monotonic() - begin)
    found["beats"] = [[beat.frame, beat.text] for beat in face().beats]
    found["note"] = session.note
    bpy.context.scene.frame_end = face().beats[-1].frame + 24
    face().active_beat = 1
    yield from settle()
    shoot(found, "05_sidebar", box_of(desk.view()[1], 790))
    yield from make_room()
    yield from frame_face()
    shoot(found, "05_done", work_box())


def drag_marker(name: str, frames: int) -> None:
    """Move one marker, and no other."""
    for marker in bpy.context.scene.timeline_markers:
        marker.select = marker.name == name
        if marker.select:
            marker.frame += frames
    # Blender 4.3 crashes where its own operator for it is called from a timer.
    bpy.ops.ed.undo_push(message="Move Markers")


def change_key(beat: Any, shape: str, by: float) -> None:
    """Change a shape key's value at a beat, as in the Graph Editor."""
    api = desk.module("rig_mapping.blender_api")
    keys = bpy.context.view_layer.objects.active.data.shape_keys
    curve = api.find_fcurve(api.find_place(keys), f'key_blocks["{shape}"].value', 0)
    for point in curve.keyframe_points:
        if abs(point.co.x - beat.frame) < 0.1:
            for part in (point.co, point.handle_left, point.handle_right):
                part.y += by
    curve.update()
    bpy.ops.ed.undo_push(message="Move Keyframes")


def edit(found: dict[str, Any]) -> Iterator[float]:
    """A beat that is dragged by its marker, and one that is changed by hand."""
    yield from toggle("face", "script")
    drag_marker(face().beats[1].marker, 6)
    yield from settle()
    last = face().beats[-1]
    pose = last.keyframe().pose.active(1e-4)
    shape = max((name for name in pose if name.startswith(("mouth", "brow", "jaw"))), key=lambda name: pose[name])
    change_key(last, shape, -0.5 * pose[shape])
    for _ in range(60):
        if face().beats[-1].by_hand:
            break
        yield 0.5
    found["edited"] = [[beat.frame, beat.by_hand, beat.locked] for beat in face().beats]
    face().active_beat = len(face().beats) - 1
    # The panel of the last operator, which lies over the markers. It cannot be hidden before there is one.
    area_of("DOPESHEET_EDITOR").spaces.active.show_region_hud = False
    yield from frame_face()
    yield from settle()
    x, top, width, height = work_box()
    # Without the list of channels.
    shoot(found, "07_edited", (x + round(0.3 * width), top, round(0.7 * width), height))
    yield from drag_up("DOPESHEET_EDITOR", -230)
    yield from frame_face()


def shape(found: dict[str, Any]) -> Iterator[float]:
    """Strengths, a beat made anew, other takes of it, and a change in words."""
    settings = face()
    settings.active_beat = 0
    yield from toggle("strength")
    settings.beats[0].strength = 1.3
    settings.beats[0].regions = (1.6, 1.0, 1.0, 0.6, 0.8, 1.0)
    yield from settle()
    shoot(found, "08_strength", beside_face())
    yield from toggle("strength")

    settings.active_beat = 1
    settings.beats[1].text = NEW_TEXT
    bpy.ops.facescript.regenerate_beat()
    yield from wait_for_model()
    shoot(found, "09_regenerated", beside_face())

    bpy.ops.facescript.vary_beat()
    yield from wait_for_model()
    face().active_variation = 2
    yield from settle()
    shoot(found, "10_variations", beside_face())
    bpy.ops.facescript.keep_variation(discard=True)

    yield from toggle("words")
    face().adjustment = WORDS
    yield from settle()
    before = desk.picture("whole_11_before")
    bpy.ops.facescript.adjust_beat()
    yield from wait_for_model()
    after = desk.picture("whole_11_after")
    shrink(found, "11_adjusted", (before, beside_face()), (after, beside_face()))
    yield from toggle("words")


def move(found: dict[str, Any]) -> Iterator[float]:
    """A style with settings of its own, and life."""
    yield from toggle("beats", "motion", "life")
    settings = face()
    settings.style = "snappy"
    settings.motion.own_hold, settings.motion.hold = True, 0.4
    with inside("VIEW_3D"):
        bpy.ops.facescript.add_life("INVOKE_DEFAULT")
    yield from settle()
    shoot(found, "12_motion", box_of(desk.view()[1], 590))


def see(found: dict[str, Any]) -> Iterator[float]:
    """The contact sheet and the plot, in an Image Editor."""
    area_of("DOPESHEET_EDITOR").type = "IMAGE_EDITOR"
    yield from frame_face()
    yield from make_picture("contact_sheet")
    yield from drag_up("IMAGE_EDITOR", 400)
    yield from fit_picture()
    shoot(found, "13_preview", middle_of(area_of("IMAGE_EDITOR"), 1000))
    yield from make_picture("plot")
    with inside("IMAGE_EDITOR"):
        bpy.ops.screen.screen_full_area()
    yield 1.0
    yield from fit_picture()
    shoot(found, "14_plot", middle_of(area_of("IMAGE_EDITOR"), 1150))


def make_picture(operator: str) -> Iterator[float]:
    """Let an operator make a picture, and wait for it."""
    with inside("VIEW_3D"):
        getattr(bpy.ops.facescript, operator)("INVOKE_DEFAULT", filepath=str(desk.FOLDER / f"{operator}.png"))
    yield 0.5
    while any(o.bl_idname.startswith("FACESCRIPT") for o in bpy.context.window.modal_operators):
        yield 0.3
    yield 1.0


def fit_picture() -> Iterator[float]:
    """Show the whole picture in the Image Editor."""
    with inside("IMAGE_EDITOR"):
        bpy.ops.image.view_all(fit_view=True)
    yield 1.5


def steps(found: dict[str, Any]) -> Iterator[float]:
    found["pictures"] = []
    for name, path in desk.SETTINGS["others"].items():
        shrink(found, name, (Path(path), None))
    desk.install()
    mark_headers()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    every = (show_preferences, first_steps, drop_recording, map_face, perform, edit, shape, move, see)
    alone = {"mapping": (first_steps, map_face), "recording": (first_steps, drop_recording)}
    parts = alone.get(desk.SETTINGS["only"], every)
    for part in parts:
        yield from part(found)


desk.run(steps)
