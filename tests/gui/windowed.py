# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Blender in a window on a virtual screen, with the built extension installed: for tests and pictures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from facescript.commands import ROOT, RUNTIME, blenders
from facescript.commands.blenders import LAUNCHER, runtime_for_window
from facescript.commands.build import built

__all__ = ["LAUNCHER", "happened", "missing", "run", "runtime_for_window"]

_SCREEN = (1600, 1000)


def missing() -> str:
    """Why there is no windowed Blender here, or an empty text."""
    return blenders.missing(blenders.WINDOWED)


def happened(
    factory: pytest.TempPathFactory, script: str, /, *, model: bool = False, timeout: float = 900.0, **settings: Any
) -> dict[str, Any]:
    """What a script beside this file found in a window with the built zip; skips the test where there is no window.

    Settings that are callable are called with the folder of the script's files. `model` gives it the language model.
    """
    if reason := missing():
        pytest.skip(reason)
    folder = factory.mktemp("window")
    given = {name: value(folder) if callable(value) else value for name, value in settings.items()}
    given["zip"] = str(built(folder))
    given["runtime"] = str(runtime_for_window(RUNTIME / "window")) if model else ""
    found = run(Path(__file__).with_name(script), folder, given, timeout)
    assert "error" not in found, found["error"]
    return found


def run(script: Path, folder: Path, settings: dict[str, Any], timeout: float = 900.0) -> dict[str, Any]:
    """Run a script in the windowed Blender; what it wrote to `result.json` in `folder`.

    `settings` are given to the script as `settings.json` in `folder`. Raises AssertionError with the end of the
    log if there is no result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    home = folder / "home"
    home.mkdir(exist_ok=True)
    width, height = settings.get("screen", _SCREEN)
    environment = os.environ | {
        "BLENDER_HOME": str(home),
        "BLENDER_USER_RESOURCES": str(home / "blender"),
        "FACESCRIPT_GUI": str(folder),
        "SCREEN": f"{width}x{height}",
    }
    geometry = ("--window-geometry", "0", "0", str(width), str(height))
    log = folder / "log.txt"
    with log.open("wb") as stream:
        command = ["bash", str(LAUNCHER), "--python-exit-code", "3", *geometry, "-P", str(script)]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if not result.is_file():
        raise AssertionError(f"No result. The log ends with:\n{log.read_text(errors='replace')[-3000:]}")
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    found["log"] = log.read_text(errors="replace")
    return found
