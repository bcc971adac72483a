# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: steps as a generator, real clicks and keys, pictures of the window."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

FOLDER = Path(os.environ["FACESCRIPT_GUI"])
SETTINGS: dict[str, Any] = json.loads((FOLDER / "settings.json").read_text(encoding="utf-8"))
PACKAGE = "bl_ext.user_default.facescript"

# Debian's Blender comes without numpy and requests, which every Blender of blender.org ships: they are taken from
# beside it.
sys.path += [str(folder) for folder in Path("/venv/lib").glob("python3.*/site-packages")]

import numpy as np  # noqa: E402


def run(steps: Callable[[dict[str, Any]], Iterator[float]]) -> None:
    """Run `steps` from a timer; each yields the seconds until it goes on. Writes result.json and quits."""
    found: dict[str, Any] = {}
    work = steps(found)

    def go_on() -> float | None:
        try:
            return next(work)
        except StopIteration:
            pass
        except BaseException:
            found["error"] = traceback.format_exc()
            picture("error")
        (FOLDER / "result.json").write_text(json.dumps(found), encoding="utf-8")
        os._exit(0)

    bpy.app.timers.register(go_on, first_interval=1.0, persistent=True)


def install() -> None:
    """Install the built zip as a user does, with the runtime that is there already."""
    preferences = bpy.context.preferences
    preferences.view.show_splash = False
    preferences.view.show_tooltips = False
    preferences.use_preferences_save = False
    bpy.ops.extensions.package_install_files(
        filepath=SETTINGS["zip"], repo="user_default", enable_on_install=True, overwrite=True
    )
    preferences.addons[PACKAGE].preferences.runtime_folder = SETTINGS.get("runtime", "")


def module(name: str) -> Any:
    """A module of the installed extension."""
    return sys.modules[f"{PACKAGE}.{name}"]


def view() -> tuple[Any, Any]:
    """The 3D View's area and its sidebar region, opened at the Facescript tab."""
    area = next(a for a in bpy.context.window.screen.areas if a.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    region = next(r for r in area.regions if r.type == "UI")
    return area, region


def open_tab() -> Iterator[float]:
    """Show the Facescript tab."""
    view()
    yield 0.5
    area, region = view()
    region.active_panel_category = "Facescript"
    area.tag_redraw()
    yield 0.5


def unfold_preferences(area: Any) -> None:
    """Show the extension's preferences in an editor that shows Blender's."""
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Facescript"
    addons: Any = importlib.import_module("addon_utils")
    for addon in addons.modules():
        if addon.__name__ == PACKAGE:
            addons.module_bl_info(addon)["show_expanded"] = True
    area.tag_redraw()


def picture(name: str) -> Path:
    """A picture of the whole window."""
    path = FOLDER / f"{name}.png"
    subprocess.run(["import", "-window", "root", str(path)], check=False)
    return path


def pixels(path: Path) -> np.ndarray[Any, Any]:
    """A picture as an array of shape (height, width, 3), top row first, 0 to 1."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    flat = np.empty(width * height * 4, dtype=np.float32)
    image.pixels.foreach_get(flat)
    bpy.data.images.remove(image)
    return flat.reshape(height, width, 4)[::-1, :, :3]


def click(x: int, y: int) -> Iterator[float]:
    """Press the left mouse button at a point of the screen, counted from the top left."""
    subprocess.run(["xdotool", "mousemove", str(x - 3), str(y)], check=True)
    yield 0.3
    subprocess.run(["xdotool", "mousemove", str(x), str(y)], check=True)
    yield 0.3
    subprocess.run(["xdotool", "click", "1"], check=True)
    yield 0.3


def press(chord: str, pause: float = 1.0) -> Iterator[float]:
    """Press a key or a chord such as `ctrl+z`, with the pointer over the 3D View, and wait `pause` seconds."""
    area, _ = view()
    height = bpy.context.window.height
    x, y = area.x + area.width // 3, height - area.y - area.height // 2
    for step in (0, 5):
        subprocess.run(["xdotool", "mousemove", str(x + step), str(y)], check=True)
        yield min(0.2, pause)
    subprocess.run(["xdotool", "key", chord], check=True)
    yield pause


def find_button(flag: Callable[[bool], None]) -> Iterator[Any]:
    """Where a button is: `flag(True)` has it drawn in red, and what changes in the picture is the button.

    Yields seconds to wait; the last thing yielded is the button's middle as (x, y).
    """
    area, _ = view()
    area.tag_redraw()
    yield 0.6
    plain = pixels(picture("plain"))
    flag(True)
    area.tag_redraw()
    yield 0.6
    red = pixels(picture("red"))
    flag(False)
    area.tag_redraw()
    yield 0.6
    changed = np.argwhere(np.abs(plain - red).max(axis=2) > 0.15)
    assert len(changed) > 200, "no button changed its colour"
    y, x = np.median(changed, axis=0)
    yield int(x), int(y)
