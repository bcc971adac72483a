# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: the mapping's table is opened, searched, edited and tested, with real clicks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import desk

NAME = "ARKit Face"


def table() -> Any:
    return bpy.data.objects[NAME].facescript_mapping


def view() -> Any:
    return bpy.context.window_manager.facescript_view


def value(key: str) -> float:
    return float(bpy.data.objects[NAME].data.shape_keys.key_blocks[key].value)


def select(channel: str) -> Any:
    table().active = next(i for i, row in enumerate(table().rows) if row.channel == channel)
    return table().row


def only(*names: str) -> None:
    """Show only these panels, open: the table is as high as the window."""
    classes = desk.module("panels")._CLASSES
    panels = {cls.__name__.removeprefix("FACESCRIPT_PT_"): cls for cls in classes if "_PT_" in cls.__name__}
    for name, cls in reversed(panels.items()):
        if cls.bl_space_type == "VIEW_3D" and not name.endswith("presets"):
            bpy.utils.unregister_class(cls)
    for name in names:
        panels[name].bl_options = set()
        bpy.utils.register_class(panels[name])


def operate(name: str, **values: Any) -> None:
    getattr(bpy.ops.facescript, name)("EXEC_DEFAULT", True, **values)


def frame_face() -> Iterator[float]:
    """The face from the front, as large as the view allows."""
    area, _ = desk.view()
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=bpy.context.window, area=area, region=region):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected(use_all_regions=False)
    yield 1.0


def steps(found: dict[str, Any]) -> Iterator[float]:
    desk.install()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    only("face", "mapping")
    yield from desk.open_tab()
    bpy.ops.facescript.add_face()
    yield from frame_face()
    bpy.ops.facescript.import_performance(filepath=desk.SETTINGS["performance"])
    yield 1.0
    desk.picture("automatic")

    operate("edit_mapping")
    yield 1.0
    select("mouthSmileLeft")
    yield 1.0
    desk.picture("table")
    found["rows"] = len(table().rows)

    # A row that is edited, one that has no target, and a key that is gone.
    table().row.gain = 0.5
    bpy.ops.ed.undo_push(message="Gain")
    yield 1.0
    found["said"] = str(desk.module("operators.session").session().error or "")
    found["edited"] = round(max(p.co.y for p in points("mouthSmileLeft")), 3)
    select("jawOpen")
    operate("remove_map_row")
    yield 0.5
    bpy.data.objects[NAME].data.shape_keys.key_blocks["cheekPuff"].name = "Puffed"
    view().search = "jaw"
    yield 1.0
    desk.picture("search")
    view().search = ""
    view().show = "MISSING"
    yield 1.0
    desk.picture("missing")
    view().show = "ALL"
    select("cheekPuff")
    yield 1.0
    desk.picture("gone")

    # Played on the face, seen half-way, stopped by Esc.
    select("mouthSmileLeft")
    standing = value("mouthSmileLeft")
    operate("test_channel")
    highest = 0.0
    trial = desk.module("operators.mapping_trial").trial()
    for _ in range(200):
        if value("mouthSmileLeft") > highest:
            highest = value("mouthSmileLeft")
        elif highest > 0.4 and not trial.playing:
            break
        yield 0.02
    found["played"] = [round(highest, 2), value("mouthSmileLeft") == standing]
    operate("test_channel", everything=True)
    yield 3.0
    for _ in range(100):
        if trial.moment is not None and trial.moment.number == 18:
            break
        yield 0.1
    desk.picture("run")
    found["run"] = [trial.playing, trial.moment.channel == table().row.channel]
    yield from desk.press("Escape")
    found["stopped"] = [not trial.running, value("mouthSmileLeft") == standing]

    # One undo takes the removal back, another one the gain.
    yield from desk.press("ctrl+z")
    yield 0.5
    found["undone"] = [row.name for row in table().rows if row.channel == "jawOpen"]
    yield from desk.press("ctrl+z")
    yield 0.5
    found["gain"] = round(next(row.gain for row in table().rows if row.channel == "mouthSmileLeft"), 3)

    # By the slider, which is no step of undo.
    select("mouthPucker")
    view().attempt = 1.0
    yield 1.0
    desk.picture("tried")
    found["tried"] = value("mouthPucker")
    operate("stop_test")
    yield 0.3
    found["put_back"] = value("mouthPucker")


def points(key: str) -> Any:
    api = desk.module("rig_mapping.blender_api")
    place = api.find_place(bpy.data.objects[NAME].data.shape_keys)
    return api.find_fcurve(place, f'key_blocks["{key}"].value', 0).keyframe_points


desk.run(steps)
