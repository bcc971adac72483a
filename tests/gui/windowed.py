# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Blender in a window on a virtual screen, with the built extension installed: for tests and pictures.

That Blender lives in a root of its own in which the checkout and /tmp are seen, but not this machine's Python. So
its worker runs on a copy of this Python that is made beside the checkout's runtime.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from facescript.commands import ROOT, RUNTIME
from facescript.inference.runtime import Runtime

LAUNCHER = ROOT.parent / "shared" / "blender" / "blender"
_GEOMETRY = ("--window-geometry", "0", "0", "1600", "1000")
_INSTALLED = Path(os.environ.get("BLENDER_ROOT", "/var/cache/windowed-blender"), ".complete")


def missing() -> str:
    """Why there is no windowed Blender here, or an empty text."""
    if not LAUNCHER.is_file():
        return "the windowed Blender in ../shared/blender is not here"
    if not _INSTALLED.exists():
        return "the windowed Blender is not set up (../shared/blender/setup)"
    return ""


def runtime_for_window(folder: Path) -> Path:
    """A runtime folder that works inside that Blender's root, made once."""
    record = folder / "runtime.json"
    if record.is_file():
        return folder
    source = Runtime(RUNTIME)
    python = _copy_python(folder / "python")
    entry = json.loads(source.record_path.read_text(encoding="utf-8"))
    shutil.copytree(source.models, folder / "models-1")
    record.write_text(json.dumps(entry | {"python": str(python), "models": "models-1"}), encoding="utf-8")
    return folder


def _copy_python(folder: Path) -> Path:
    """Copy the interpreter and its standard library; packages are taken from this environment."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = folder / "lib" / version
    skipped = shutil.ignore_patterns("site-packages", "dist-packages", "test", "__pycache__", "config-*")
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=skipped, dirs_exist_ok=True)
    (library / "site-packages").mkdir(exist_ok=True)
    (library / "site-packages" / "here.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (folder / "bin").mkdir(exist_ok=True)
    shutil.copy2(os.path.realpath(sys.executable), folder / "bin" / version)
    shared = Path(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or "none")
    if shared.is_file():
        shutil.copy2(shared, folder / "lib" / shared.name)
    start = folder / "bin" / "python"
    start.write_text(
        f'#!/bin/sh\nLD_LIBRARY_PATH="{folder}/lib" exec "{folder}/bin/{version}" "$@"\n', encoding="utf-8"
    )
    start.chmod(0o755)
    return start


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
    environment = os.environ | {
        "BLENDER_HOME": str(home),
        "BLENDER_USER_RESOURCES": str(home / "blender"),
        "FACESCRIPT_GUI": str(folder),
        "SCREEN": settings.get("screen", "1600x1000"),
    }
    log = folder / "log.txt"
    with log.open("wb") as stream:
        command = ["bash", str(LAUNCHER), "--python-exit-code", "3", *_GEOMETRY, "-P", str(script)]
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
