# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the windowed Blender: injects faults while a timer of its own measures how long the window is held."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy as module

# Its stubs take what is there in a window for optional, and know no add-on's operators.
bpy: Any = module

_ENTRY = json.loads(Path(os.environ["FACESCRIPT_GUI"], "settings.json").read_text(encoding="utf-8"))
sys.path[:0] = [_ENTRY["gui"], _ENTRY["package"]]
import desk  # type: ignore[import-not-found]  # noqa: E402
from facescript.faults.inside import try_faults  # noqa: E402
from facescript.faults.stage import Settings, Stage  # noqa: E402

_PULSE = 0.01


def steps(found: dict[str, Any]) -> Iterator[float]:
    desk.install()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 1.0
    yield from desk.open_tab()
    settings = Settings.read(desk.FOLDER / "settings.json")
    stage = Stage(settings, bpy, window=True)
    _begin_pulse(stage)
    for _ in try_faults(stage, _ENTRY["names"], Path(_ENTRY["results"]), Path(_ENTRY["log"]), settings.real):
        yield 0.02
    found["done"] = True


def _begin_pulse(stage: Stage) -> None:
    """Have the stage told every hundredth of a second that the window is live."""

    def pulse() -> float:
        stage.pulse.beat()
        return _PULSE

    bpy.app.timers.register(pulse, persistent=True)


desk.run(steps)
