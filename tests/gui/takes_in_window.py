# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: takes, the NLA, a long script in the Text Editor, presets, motion and life."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import desk

NAME = "ARKit Face"
SCRIPT = "Oh. It is you. (She smiles.)\n\n[2s] The brows lift\nI never thought that you would come."


def face() -> Any:
    return bpy.data.objects[NAME].facescript


def shelf() -> Any:
    return bpy.data.objects[NAME].facescript_takes


def shown(shape: str, frame: int) -> float:
    """What the face really shows at a frame, with NLA and all."""
    bpy.context.scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    keys = bpy.data.objects[NAME].evaluated_get(graph).data.shape_keys
    return round(float(keys.key_blocks[shape].value), 3)


def key_count() -> int:
    api = desk.module("rig_mapping.blender_api")
    data = bpy.data.objects[NAME].data.shape_keys
    return sum(len(curve.keyframe_points) for curve in api.fcurves(api.find_place(data)))


def tracks() -> list[str]:
    animation = bpy.data.objects[NAME].data.shape_keys.animation_data
    return [track.name for track in animation.nla_tracks] if animation else []


def operate(name: str, **values: Any) -> None:
    getattr(bpy.ops.facescript, name)("EXEC_DEFAULT", True, **values)


def steps(found: dict[str, Any]) -> Iterator[float]:
    desk.install()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    # The tab needs room for the panels that are opened here.
    for name in ("PT_takes", "PT_lines"):
        cls = getattr(bpy.types, f"FACESCRIPT_{name}")
        bpy.utils.unregister_class(cls)
        cls.bl_options = set()
        bpy.utils.register_class(cls)
    yield from desk.open_tab()
    bpy.ops.facescript.add_face()
    bpy.context.scene.render.fps = 24
    yield 1.0
    bpy.ops.facescript.import_performance(filepath=desk.SETTINGS["performance"])
    yield 1.0

    # Another take beside the first, and back and forth between them.
    first = key_count()
    operate("duplicate_take")
    face().beats[1].strength = 0.5
    yield 1.0
    found["takes"] = len(shelf().rows)
    found["second"] = shown("mouthSmileLeft", 37)
    operate("flip_take")
    yield 0.5
    found["first"] = [shown("mouthSmileLeft", 37), key_count() == first]
    operate("flip_take")
    yield 0.5
    found["again"] = shown("mouthSmileLeft", 37)
    operate("flip_take")
    shelf().active = next(i for i, row in enumerate(shelf().rows) if row.key != shelf().shown)
    operate("append_take", gap=1.0)
    yield 0.5
    found["appended"] = [beat.frame for beat in face().beats]
    desk.picture("takes")
    yield from desk.press("ctrl+z")
    yield 1.0
    found["append_undone"] = len(face().beats)

    # On the NLA as strips, and back for editing.
    values = [shown("mouthSmileLeft", frame) for frame in (1, 30, 37, 73)]
    operate("place_on_nla")
    yield 0.5
    found["nla_tracks"] = tracks()
    found["nla_keys"] = key_count()
    found["nla_same"] = [shown("mouthSmileLeft", frame) for frame in (1, 30, 37, 73)] == values
    desk.picture("nla")
    operate("edit_take_again")
    yield 0.5
    found["nla_left"] = tracks()
    found["nla_back"] = key_count() == first
    found["nla_back_same"] = [shown("mouthSmileLeft", frame) for frame in (1, 30, 37, 73)] == values

    # A life layer on and off.
    frames = [*range(1, 60), *range(125, 250)]
    still = [shown("eyeBlinkLeft", frame) for frame in frames]
    operate("add_life", seed=1)
    yield 0.5
    found["life_tracks"] = tracks()
    found["blinks"] = max(shown("eyeBlinkLeft", frame) for frame in frames)
    operate("toggle_life")
    found["muted"] = [shown("eyeBlinkLeft", frame) for frame in frames] == still
    operate("remove_life")
    yield 0.5
    found["life_left"] = tracks()
    found["without"] = max(still)

    # Motion: another attack is written at once.
    before = shown("mouthSmileLeft", 33)
    face().motion.attack = 4.0
    yield 0.7
    found["attack"] = [before, shown("mouthSmileLeft", 33)]
    face().motion.attack = 1.0
    preset = Path(desk.module("operators.preset_files").__file__).parent / "presets/facescript/style/Comedy.py"
    bpy.ops.facescript.apply_preset(filepath=str(preset), menu_idname="FACESCRIPT_PT_style_presets")
    yield 0.7
    found["preset"] = face().style

    # A script of several lines, with a mistake in its third one.
    face().script = "One line"
    operate("script_to_text")
    text = face().text
    text.clear()
    text.write(SCRIPT)
    table = bpy.context.window_manager.facescript_lines
    for _ in range(40):
        desk.view()[1].tag_redraw()
        yield 0.25
        if len(table.rows) == 3:
            break
    yield 0.5
    desk.picture("lines")
    found["lines"] = [[row.number, row.frame, row.words] for row in table.rows]
    text.clear()
    text.write("Fine.\n[9s] The brows lift\n[3s] The lips part")
    yield 1.0
    try:
        bpy.ops.facescript.check_script()
        found["mistake"] = ""
    except RuntimeError as error:
        found["mistake"] = str(error)
    found["cursor"] = text.current_line_index + 1
    desk.picture("mistake")


desk.run(steps)
