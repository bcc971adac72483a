# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: times the extension's timers and panels with a long performance."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy as module

# Its stubs take what is there in a window for optional, and know no add-on's operators.
bpy: Any = module

_SETTINGS = json.loads(Path(os.environ["FACESCRIPT_GUI"], "settings.json").read_text(encoding="utf-8"))
sys.path.insert(0, _SETTINGS["gui"])
import desk  # type: ignore[import-not-found]  # noqa: E402


class Collections:
    """Python's own collections of garbage, which come in the middle of any add-on's callback: milliseconds of each."""

    def __init__(self) -> None:
        self.spent: list[float] = []
        self.whole: list[float] = []
        self._begun = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.perf_counter()
            return
        self.spent.append((time.perf_counter() - self._begun) * 1000.0)
        if about["generation"] == 2:
            self.whole.append(self.spent[-1])


COLLECTIONS = Collections()


def timed(work: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """`work`, which notes the milliseconds that each call takes without collections; long ones are named in the log."""

    def measured(*given: Any) -> Any:
        begin, before = time.perf_counter(), len(COLLECTIONS.spent)
        try:
            return work(*given)
        finally:
            collected = sum(COLLECTIONS.spent[before:])
            spent.append((time.perf_counter() - begin) * 1000.0 - collected)
            if spent[-1] > 10.0:
                print(f"{work.__module__}.{work.__qualname__}: {spent[-1]:.1f} ms", flush=True)

    return measured


def time_timers(spent: list[float]) -> None:
    """Have every timer of the extension's noted from now on."""
    for name in ("operators.session", "operators.following", "operators.faces"):
        owner = desk.module(name)
        for function in ("_tick", "_look"):
            plain = getattr(owner, function, None)
            if plain is None:
                continue
            running = bpy.app.timers.is_registered(plain)
            setattr(owner, function, timed(plain, spent))
            if running:
                bpy.app.timers.unregister(plain)
                bpy.app.timers.register(getattr(owner, function), persistent=True)


def time_panels(spent: list[float]) -> None:
    """Have every panel and list of the extension's noted from now on."""
    for name in ("sidebar", "beats", "motion", "takes"):
        for cls in desk.module(f"panels.{name}").CLASSES:
            if issubclass(cls, bpy.types.Panel):
                cls.draw = _timed_draw(cls.draw, spent)


def _timed_draw(draw: Callable[[Any, Any], None], spent: list[float]) -> Callable[[Any, Any], None]:
    # Blender counts the arguments that a function names, and gives it so many.
    note = timed(draw, spent)

    def measured(self: Any, context: Any) -> None:
        note(self, context)

    return measured


def steps(found: dict[str, Any]) -> Iterator[float]:
    gc.collect()
    found["bare"] = COLLECTIONS.whole[-1:]
    desk.install()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.5
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from desk.open_tab()
    bpy.ops.facescript.add_face()
    bpy.context.scene.render.fps = 24
    yield 1.0
    bpy.ops.facescript.import_performance(filepath=_SETTINGS["performance"])
    yield 3.0
    face = bpy.context.view_layer.objects.active.facescript
    found["blender"] = bpy.app.version_string
    found["beats"] = len(face.beats)

    panels: list[float] = []
    time_panels(panels)
    found["draw"] = []
    area, region = desk.view()
    for number in range(20):
        face.active_beat = number
        yield 0.3
        panels.clear()
        region.tag_redraw()
        yield 0.5
        # A redraw lays every panel that is open out at least once.
        assert len(panels) >= 3, panels
        found["draw"].append(sum(panels))

    timers: list[float] = []
    time_timers(timers)
    area.tag_redraw()
    yield 1.0
    timers.clear()
    scene = bpy.context.scene
    for number in (10, 150, 290):
        marker = scene.timeline_markers[face.beats[number].marker]
        marker.frame += 5
        yield 3.0
    found["followed"] = [face.beats[number].frame for number in (10, 150, 290)]
    found["following"] = list(timers)

    undo: list[float] = []
    generate = desk.module("operators.generate")
    generate.push_undo = timed(generate.push_undo, undo)
    timers.clear()
    rows = [json.loads(line) for line in Path(_SETTINGS["performance"]).read_text(encoding="utf-8").splitlines()]
    script = "\n".join(f"[{row['t']}s] {row['text']}" for row in rows[0]["keyframes"])
    session = desk.module("operators.session").session()
    bpy.ops.facescript.generate(script=script)
    yield 0.2
    for _ in range(6000):
        if not session.busy:
            break
        yield 0.1
    yield 1.5
    assert session.error is None, session.error
    found["generating"], found["undo"] = list(timers), undo
    found["collections"] = COLLECTIONS.whole[1:]


desk.run(steps)
