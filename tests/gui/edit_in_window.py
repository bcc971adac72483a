# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: a session of edits, by the editors' own operators and by the keyboard."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import desk

NAME = "ARKit Face"


def face() -> Any:
    return bpy.data.objects[NAME].facescript


def beats() -> list[tuple[int, str, bool, bool]]:
    return [(beat.frame, beat.text, beat.locked, beat.by_hand) for beat in face().beats]


def markers() -> list[tuple[int, str]]:
    return sorted((marker.frame, marker.name) for marker in bpy.context.scene.timeline_markers)


def strips() -> list[tuple[str, str, float, float]]:
    found = []
    for block in (*bpy.data.objects, *bpy.data.shape_keys):
        if block.animation_data:
            for track in block.animation_data.nla_tracks:
                found += [(block.name, track.name, s.frame_start, s.frame_end) for s in track.strips]
    return sorted(found)


def keys() -> list[tuple[str, str, int, float, float]]:
    api = desk.module("rig_mapping.blender_api")
    found = []
    for block in (*bpy.data.objects, *bpy.data.shape_keys):
        for curve in api.fcurves(api.find_place(block)):
            for point in curve.keyframe_points:
                row = (block.name, curve.data_path, curve.array_index, round(point.co.x, 3), round(point.co.y, 4))
                found.append(row)
    return sorted(found)


def state() -> list[Any]:
    rows = [[b.key, b.frame, b.text, b.pose, b.strength, list(b.regions), b.locked] for b in face().beats]
    return [rows, markers(), keys(), strips()]


def area(kind: str) -> Any:
    return max((a for a in bpy.context.window.screen.areas if a.type == kind), key=lambda a: a.width * a.height)


def inside(kind: str) -> AbstractContextManager[Any]:
    """As if the pointer were in an editor's main region."""
    found = area(kind)
    region = next(r for r in found.regions if r.type == "WINDOW")
    return bpy.context.temp_override(window=bpy.context.window, area=found, region=region)


def rest() -> Iterator[float]:
    """Wait until what was done by hand has been followed: it is seen twice before, as it is not to be dragged still."""
    following = desk.module("operators.following")
    faces = desk.module("operators.faces")
    quiet = 0
    for _ in range(600):
        yield 0.04
        calm = following._follower.at_rest and faces.remembered(bpy.context) is not None
        quiet = quiet + 1 if calm else 0
        if quiet == 4:
            return
    raise AssertionError("the list did not come to rest")


def wait_for_model() -> Iterator[float]:
    session = desk.module("operators.session").session()
    yield 0.1
    for _ in range(6000):
        if not session.busy:
            break
        yield 0.05
    yield 0.6
    assert session.error is None, session.error


def drag_marker(name: str, frames: int) -> None:
    scene = bpy.context.scene
    for marker in scene.timeline_markers:
        marker.select = marker.name == name
    with inside("DOPESHEET_EDITOR"):
        bpy.ops.marker.move("EXEC_DEFAULT", True, frames=frames)


def drag_column(start: float, end: float, frames: int) -> None:
    """Select all keys in a range and move them, in the Dope Sheet."""
    api = desk.module("rig_mapping.blender_api")
    for block in (*bpy.data.objects, *bpy.data.shape_keys):
        for curve in api.fcurves(api.find_place(block)):
            for point in curve.keyframe_points:
                chosen = start <= point.co.x <= end
                point.select_control_point = point.select_left_handle = point.select_right_handle = chosen
    with inside("DOPESHEET_EDITOR"):
        bpy.ops.transform.transform("EXEC_DEFAULT", True, mode="TIME_TRANSLATE", value=(float(frames), 0.0, 0.0, 0.0))


def lift_key(shape: str, frame: float, by: float) -> None:
    """Change the value of a key, in the Graph Editor."""
    api = desk.module("rig_mapping.blender_api")
    place = api.find_place(bpy.data.objects[NAME].data.shape_keys)
    curve = api.find_fcurve(place, f'key_blocks["{shape}"].value', 0)
    for point in curve.keyframe_points:
        chosen = abs(point.co.x - frame) < 0.1
        if chosen:
            for part in (point.co, point.handle_left, point.handle_right):
                part.y += by
    curve.update()
    bpy.ops.ed.undo_push(message="Move Keyframes")


def operate(name: str, **values: Any) -> Callable[[], None]:
    def work() -> None:
        getattr(bpy.ops.facescript, name)("EXEC_DEFAULT", True, **values)

    return work


def change(place: int, name: str, value: Any) -> Callable[[], None]:
    """A field of the list, as it is edited in the panel."""

    def work() -> None:
        owner = face().beats[place] if place >= 0 else face()
        setattr(owner, name, value)
        bpy.ops.ed.undo_push(message=name)

    return work


def copy_to_next() -> None:
    """Copy the selected beat's pose to the one after it, by the clipboard."""
    bpy.ops.facescript.copy_pose()
    face().active_beat = (face().active_beat + 1) % len(face().beats)
    bpy.ops.facescript.paste_pose("EXEC_DEFAULT", True)


# Thirty steps of all kinds, but those that need the model.
SESSION: list[Callable[[], None]] = [
    change(1, "strength", 0.6),
    change(1, "regions", (1.0, 0.5, 1.0, 1.5, 1.0, 1.0)),
    lambda: drag_marker(face().beats[2].marker, 9),
    change(0, "text", "She looks up"),
    operate("duplicate_beat"),
    operate("mirror_beat"),
    lambda: lift_key("jawOpen", face().beats[-1].frame, 0.3),
    change(-1, "style", "snappy"),
    operate("scale_beats", factor=1.25),
    operate("add_life"),
    change(1, "frame", 30),
    operate("split_beat"),
    operate("toggle_life"),
    change(-1, "move_head", False),
    lambda: drag_column(face().beats[-1].frame - 8, face().beats[-1].frame, 12),
    operate("delete_beat"),
    change(-1, "move_head", True),
    operate("lock_beats", lock=True),
    operate("lock_beats", lock=False),
    operate("move_beat", frames=5, following=True),
    operate("remove_life"),
    change(-1, "style", "soft"),
    operate("insert_beat"),
    operate("describe_beat"),
    change(0, "locked", True),
    # Onto the next beat, which has to give way.
    lambda: drag_marker(face().beats[1].marker, face().beats[2].frame - face().beats[1].frame),
    copy_to_next,
    change(-1, "show_markers", False),
    change(-1, "show_markers", True),
    operate("scale_beats", factor=0.8, everything=True),
]


def steps(found: dict[str, Any]) -> Iterator[float]:
    desk.install()
    bpy.context.preferences.system.viewport_aa = "OFF"
    # It looks more often, and as always follows what it sees twice.
    desk.module("operators.following")._REST = 0.1
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from desk.open_tab()
    bpy.ops.facescript.add_face()
    with inside("VIEW_3D"):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_all(use_all_regions=False)
    bpy.context.scene.render.fps = 24
    yield 1.0
    bpy.ops.facescript.import_performance(filepath=desk.SETTINGS["performance"])
    bpy.ops.ed.undo_push(message="Import")
    yield 1.0
    found["start"] = beats()
    desk.picture("beats")

    # Dragged by its marker, by its keys, and changed in the Graph Editor: list, markers and keys follow by themselves.
    drag_marker(face().beats[1].marker, 7)
    yield from rest()
    found["marker"] = [beats()[1][0], markers()[1][0]]
    last = face().beats[-1].frame
    drag_column(last - 8, last, 10)
    yield from rest()
    found["column"] = [last, beats()[-1][0], markers()[-1][0]]
    lift_key("jawOpen", face().beats[1].frame, 0.25)
    yield from rest()
    found["by_hand"] = [beat[3] for beat in beats()]
    desk.picture("by_hand")
    face().active_beat = 2
    yield 0.5
    found["jumped"] = [bpy.context.scene.frame_current, face().beats[2].frame]

    # Every step is undone by one stroke of the keyboard: back to the start, and forward again. What follows a drag
    # takes another of Blender's steps, of which there are 32 by default.
    bpy.context.preferences.edit.undo_steps = 64
    bpy.ops.ed.undo_push(message="Before the session")
    yield 0.5
    states = [state()]
    session = desk.module("operators.session").session()
    for number, step in enumerate(SESSION):
        bpy.context.scene.frame_set(face().beats[-1].frame + 15)
        face().active_beat = number % len(face().beats) if number not in (11, 22) else len(face().beats) - 1
        session.error = None
        step()
        yield from rest()
        states.append(state())
    found["session_error"] = str(session.error or "")
    found["states"] = len(states)
    found["undo"] = []
    for expected in reversed(states[:-1]):
        yield from desk.press("ctrl+z", pause=0.1)
        yield from rest()
        found["undo"].append(state() == expected)
    found["redo"] = []
    for expected in states[1:]:
        yield from desk.press("ctrl+shift+z", pause=0.1)
        yield from rest()
        found["redo"].append(state() == expected)

    face().active_beat = 0
    copy_to_next()
    found["pasted"] = [[b.text, b.keyframe().pose["jawOpen"], b.keyframe().pose["headYaw"]] for b in face().beats[:2]]

    # With the model: a beat made anew, other takes of it, a wish in words.
    face().active_beat = 1
    if face().beats[1].by_hand:
        bpy.ops.facescript.release_beat("EXEC_DEFAULT", True)
    face().beats[1].locked = False
    bpy.context.window.scene.frame_set(face().beats[1].frame)
    face().beats[1].text = "Eyes squeezed shut, the whole face screwed up"
    began = time.monotonic()
    bpy.ops.facescript.regenerate_beat("EXEC_DEFAULT", True)
    found["returned_at_once"] = time.monotonic() - began
    yield from wait_for_model()
    pose = face().beats[1].keyframe().pose
    found["regenerated"] = [pose["eyeBlinkLeft"], pose["eyeSquintLeft"]]
    desk.picture("regenerated")
    bpy.ops.facescript.vary_beat("EXEC_DEFAULT", True)
    yield from wait_for_model()
    found["variations"] = [row.text for row in face().variations]
    shown = []
    for number in range(len(face().variations)):
        face().active_variation = number
        yield 0.5
        shown.append(face().beats[1].pose)
        if number == 1:
            desk.picture("variations")
    found["different"] = len(set(shown))
    bpy.ops.facescript.keep_variation("EXEC_DEFAULT", True, discard=True)
    yield 0.5
    found["discarded"] = face().beats[1].text
    smile = face().beats[1].keyframe().pose["mouthSmileLeft"]
    face().adjustment = "add a big smile"
    bpy.ops.facescript.adjust_beat("EXEC_DEFAULT", True)
    yield from wait_for_model()
    found["adjusted"] = [smile, face().beats[1].keyframe().pose["mouthSmileLeft"]]
    desk.picture("adjusted")
    before = state()
    face().beats[0].text = "A wink of the left eye"
    bpy.ops.ed.undo_push(message="Text")
    face().active_beat = 0
    face().beats[0].locked = False
    bpy.ops.facescript.regenerate_beat("EXEC_DEFAULT", True)
    yield from wait_for_model()
    found["undone_regeneration"] = state() != before
    yield from desk.press("ctrl+z")
    yield from desk.press("ctrl+z")
    found["text_after_undo"] = face().beats[0].text


desk.run(steps)
