# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: every panel in German, as pictures to look at, and what is printed meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import desk

PAGES = {
    "script": ("face", "script", "lines"),
    "mapping": ("mapping",),
    "beats": ("beats", "strength", "words"),
    "motion": ("motion", "leads", "life"),
    "takes": ("takes", "seeing", "runtime"),
}


def panels() -> dict[str, Any]:
    """The sidebar's panels by the ends of their names, in the order in which they are registered."""
    modules = [desk.module(f"panels.{name}") for name in ("sidebar", "mapping", "beats", "motion", "takes")]
    classes = [cls for module in modules for cls in module.CLASSES if cls.__name__.startswith("FACESCRIPT_PT_")]
    return {cls.__name__.removeprefix("FACESCRIPT_PT_"): cls for cls in classes}


def steps(found: dict[str, Any]) -> Iterator[float]:
    desk.install()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    preferences = bpy.context.preferences.view
    preferences.language = "de_DE"
    preferences.use_translate_interface = preferences.use_translate_tooltips = True
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    known = panels()
    for cls in reversed(known.values()):
        bpy.utils.unregister_class(cls)
        cls.bl_options = set(getattr(cls, "bl_options", ())) - {"DEFAULT_CLOSED"}
    bpy.utils.register_class(known["face"])
    yield from desk.open_tab()
    yield 1.0
    desk.picture("no_face")
    bpy.utils.unregister_class(known["face"])
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.import_performance(filepath=desk.SETTINGS["performance"])
    bpy.ops.facescript.new_take()
    bpy.ops.facescript.flip_take()
    bpy.ops.facescript.edit_mapping()
    language = desk.module("operators.language")
    found["note"] = language.iface_(desk.SETTINGS["note"])
    # One group of panels at a time is as high as the window.
    for page, names in PAGES.items():
        for name in names:
            bpy.utils.register_class(known[name])
        yield from desk.open_tab()
        yield 1.5
        desk.picture(page)
        for name in reversed(names):
            bpy.utils.unregister_class(known[name])


desk.run(steps)
