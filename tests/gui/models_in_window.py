# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: a model is downloaded in the preferences, cancelled, gone on with, chosen, asked
for a performance, and removed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import desk


def show_preferences(area: Any) -> Iterator[float]:
    """The extension's preferences in an editor's place, down to their end."""
    area.type = "PREFERENCES"
    yield 1.0
    desk.unfold_preferences(area)
    yield 1.0
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(area=area, region=region):
        for _ in range(40):
            bpy.ops.view2d.scroll_down()
    yield 1.0


def downloading(shelf: Any, until: float) -> Iterator[float]:
    """Wait until a download is so far, or has ended."""
    for _ in range(1200):
        if shelf.job is None or shelf.progress.fraction >= until:
            return
        yield 0.05


def steps(found: dict[str, Any]) -> Iterator[float]:
    desk.install()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    preferences = bpy.context.preferences.addons[desk.PACKAGE].preferences
    bpy.context.preferences.system.use_online_access = True
    shelf = desk.module("operators.models").shelf
    name = preferences.hub_name = desk.SETTINGS["name"]
    preferences.backend = "local"
    area = max(bpy.context.screen.areas, key=lambda a: a.width * a.height)
    yield from show_preferences(area)
    desk.picture("before")
    bpy.ops.facescript.download_model("INVOKE_DEFAULT")
    yield from downloading(shelf, 0.3)
    desk.picture("downloading")
    bpy.ops.facescript.cancel_download()
    while shelf.job is not None:
        yield 0.05
    area.tag_redraw()
    yield 0.5
    desk.picture("cancelled")
    found["cancelled"] = [str(desk.module("operators.session").session().error), shelf.progress.fraction]
    found["listed_when_cancelled"] = [[model.name, model.kind] for model in shelf.look(bpy.context)]
    bpy.ops.facescript.download_model("INVOKE_DEFAULT")
    yield from downloading(shelf, 2.0)
    found["note"] = desk.module("operators.session").session().note
    area.tag_redraw()
    yield 1.0
    desk.picture("downloaded")
    [model] = [model for model in shelf.look(bpy.context) if model.name == name]
    found["licence"] = model.licence
    bpy.ops.facescript.choose_model(folder=str(model.folder))
    found["chosen"] = [preferences.backend, Path(preferences.model_folder) == model.folder]
    area.tag_redraw()
    yield 1.0
    desk.picture("chosen")
    area.type = "VIEW_3D"
    yield 0.5
    bpy.ops.facescript.add_face()
    obj = bpy.context.view_layer.objects.active
    obj.facescript.script = "[0.0s] Both brows shoot up.\n[1.0s] Lids fall shut."
    bpy.ops.facescript.generate()
    session = desk.module("operators.session").session()
    while session.busy:
        yield 0.1
    found["session_error"] = str(session.error) if session.error else ""
    found["beats"] = [beat.text for beat in obj.facescript.beats]
    found["model"] = obj.facescript.model
    bpy.ops.facescript.remove_model(folder=str(model.folder))
    found["left"] = model.folder.exists()
    found["chosen_after"] = preferences.model_folder


desk.run(steps)
