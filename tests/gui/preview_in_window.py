# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: a contact sheet, a movie that is stopped by Esc, another one, a plot, the menus."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy as module

# Its stubs take what is there in a window for optional, and know no add-on's operators.
bpy: Any = module

sys.path.insert(0, str(Path(__file__).parent))
import desk  # noqa: E402

_PATIENCE = 300.0


def settings() -> dict[str, Any]:
    """What a picture must not change."""
    scene = bpy.context.scene
    space = desk.view()[0].spaces.active
    owners = (scene.render, scene.render.image_settings, scene.view_settings, space.overlay, space.shading)
    kept = {
        f"{owner.bl_rna.identifier}.{prop.identifier}": repr(getattr(owner, prop.identifier))
        for owner in owners
        for prop in owner.bl_rna.properties
        if prop.type in ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM") and not getattr(prop, "is_array", False)
    }
    return kept | {"frame": scene.frame_current, "objects": sorted(bpy.data.objects.keys())}


def start(name: str, **given: Any) -> set[str]:
    """Start an operator as a button in the 3D View does."""
    area, _ = desk.view()
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=bpy.context.window, area=area, region=region):
        return set(getattr(bpy.ops.facescript, name)("INVOKE_DEFAULT", **given))


def running() -> list[str]:
    """The operators that go on in the window."""
    return [operator.bl_idname for operator in bpy.context.window.modal_operators]


def finish() -> Iterator[float]:
    """Wait until no operator goes on any more."""
    waited = 0.0
    while running() and waited < _PATIENCE:
        waited += 0.2
        yield 0.2


def show(name: str, menu: str) -> Iterator[float]:
    """Open a menu, and take its picture."""
    area, _ = desk.view()
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=bpy.context.window, area=area, region=region):
        bpy.ops.wm.call_menu(name=menu)
    yield 1.0
    desk.picture(name)
    yield from desk.press("Escape")


def choose(name: str) -> Iterator[float]:
    """Give the open file browser a name, and accept."""
    places = [(w, a) for w in bpy.context.window_manager.windows for a in w.screen.areas if a.type == "FILE_BROWSER"]
    window, area = places[0]
    area.spaces.active.params.directory = str(desk.FOLDER).encode()
    area.spaces.active.params.filename = name
    yield 0.5
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.file.execute()
    yield 0.5


def steps(found: dict[str, Any]) -> Iterator[float]:
    desk.install()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.import_performance(filepath=desk.SETTINGS["performance"])
    area, _ = desk.view()
    with bpy.context.temp_override(area=area, region=next(r for r in area.regions if r.type == "WINDOW")):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_all(use_all_regions=False)
    bpy.context.scene.frame_set(33)
    yield 1.0
    before = settings()

    sheet = desk.FOLDER / "sheet.png"
    found["started"] = sorted(start("contact_sheet", filepath=str(sheet), size=160))
    yield 0.2
    found["going_on"] = running()
    yield from finish()
    found["sheet"] = sheet.is_file()

    stopped = desk.FOLDER / "stopped.mp4"
    start("preview", filepath=str(stopped), size=200, play=False)
    yield 1.0
    desk.picture("running")
    found["before_esc"] = running()
    yield from desk.press("Escape")
    found["after_esc"] = running()
    found["stopped_movie"] = stopped.is_file()
    found["changed_by_esc"] = {k: (v, settings()[k]) for k, v in before.items() if settings()[k] != v}

    movie = desk.FOLDER / "movie.mp4"
    start("preview", filepath=str(movie), size=200, step=4, play=False)
    yield from finish()
    clip = bpy.data.movieclips.load(str(movie))
    found["movie"] = [clip.frame_duration, list(clip.size)]
    bpy.data.movieclips.remove(clip)
    found["changed"] = {k: (v, settings()[k]) for k, v in before.items() if settings()[k] != v}

    start("preview", choose_file=True, size=100, step=8, play=False)
    yield 2.0
    yield from choose("chosen.mp4")
    found["from_browser"] = running()
    yield from finish()
    found["chosen"] = (desk.FOLDER / "chosen.mp4").is_file()

    timeline = next(a for a in bpy.context.window.screen.areas if a.type == "DOPESHEET_EDITOR")
    timeline.type = "IMAGE_EDITOR"
    yield 0.5
    plot = desk.FOLDER / "plot.png"
    start("plot", filepath=str(plot))
    yield from finish()
    yield 0.5
    image = timeline.spaces.active.image
    found["shown"] = image and Path(image.filepath).name
    desk.picture("plotted")

    yield from show("menu_face", "FACESCRIPT_MT_face")
    yield from show("menu_beats", "FACESCRIPT_MT_beats")
    yield from show("menu_object", "VIEW3D_MT_object")


desk.run(steps)
