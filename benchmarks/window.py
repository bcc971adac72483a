# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the window stays live: the longest timer callback and the drawing of the sidebar, with 300 beats.

Measured in a real Blender in a window, with the built zip installed, on ten minutes of performance: while a generation
runs and is written to the timeline, and while the list follows a beat that was dragged.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..performance import BLEND_SHAPES
from .decoding import machine

BEATS = 300
SECONDS = 600.0
# Milliseconds: the longest timer callback, and a redraw of the whole tab.
TARGETS = {"timer": 10.0, "draw": 5.0}

ROOT = Path(__file__).resolve().parent.parent
IN_WINDOW = Path(__file__).with_name("window_in_blender.py")
GUI = ROOT / "tests" / "gui"


def scene() -> list[dict[str, Any]]:
    """Keyframes of a long performance: ten channels and the head move on every beat."""
    draw = np.random.default_rng(1)
    rows = []
    for number in range(BEATS):
        names = draw.choice(BLEND_SHAPES, 10, replace=False)
        pose = {str(name): round(float(draw.uniform(0.1, 0.9)), 2) for name in names}
        pose |= {"headYaw": round(float(draw.uniform(-0.3, 0.3)), 2)}
        text = f"Beat {number}: the brows lift a little, and the left corner of the mouth goes up."
        rows.append({"t": round(number * SECONDS / BEATS, 3), "text": text, "pose": pose})
    return rows


def bench_window(runtime: Path, build: Callable[[Path], Path]) -> dict[str, float]:
    """Measure, print, and return milliseconds by name; nothing if there is no Blender with a window.

    `runtime` is the checkout's, `build` makes the extension's zip in a folder.
    """
    sys.path.insert(0, str(GUI))
    windowed = importlib.import_module("windowed")
    if reason := windowed.missing():
        print(f"The window was not measured: {reason}.")
        return {}
    with tempfile.TemporaryDirectory(prefix="facescript-window-") as scratch:
        folder = Path(scratch)
        performance = folder / "performance.jsonl"
        performance.write_text(json.dumps({"script": "A long talk.", "keyframes": scene()}), encoding="utf-8")
        settings = {
            "zip": str(build(folder)),
            "runtime": str(windowed.runtime_for_window(runtime / "window")),
            "performance": str(performance),
            "gui": str(GUI),
        }
        found: dict[str, Any] = windowed.run(IN_WINDOW, folder, settings, timeout=1500.0)
    if "error" in found:
        raise RuntimeError(found["error"])
    print(f"The window, {BEATS} beats in {SECONDS / 60:.0f} minutes; Blender {found['blender']}; {machine()}")
    print(f"{time.strftime('%Y-%m-%d %H:%M')}; milliseconds\n")
    names = {
        "generating": "timer while 300 beats are generated and written",
        "undo": "of it, Blender's own step of undo",
        "following": "timer while a dragged beat is followed",
        "draw": "drawing the tab",
    }
    for name, label in names.items():
        spent = found[name]
        target = TARGETS["draw" if name == "draw" else "timer"]
        longest, middle = max(spent), float(np.median(spent))
        print(f"{label:52}longest {longest:6.1f} (target {target:.0f}), median {middle:5.2f}, of {len(spent)}")
    whole, bare = found["collections"], found["bare"][0]
    longest = max(whole, default=0.0)
    print(f"Not in these: {len(whole)} whole collections of garbage by Python, longest {longest:.1f}; {bare:.1f} bare")
    for line in found["log"].splitlines():
        if line.endswith(" ms"):
            print(f"    {line}")
    return {name: float(max(found[name])) for name in names}
