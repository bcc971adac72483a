# SPDX-License-Identifier: GPL-3.0-or-later
"""`blender --command facescript` as it is typed: Blender itself, and the built zip in it."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
from pathlib import Path

import pytest
import windowed
from facescript.commands import ROOT, RUNTIME
from facescript.commands.build import built
from model_servers import Handler, good, serving

pytestmark = [pytest.mark.window, pytest.mark.model, pytest.mark.slow]

_LINES = 40
_INSTALL = """
import sys
import bpy

package, runtime = sys.argv[-2:]
bpy.ops.extensions.package_install_files(filepath=package, repo="user_default", enable_on_install=True)
bpy.context.preferences.addons["bl_ext.user_default.facescript"].preferences.runtime_folder = runtime
bpy.ops.wm.save_userpref()
"""
# Debian's Blender comes without packages that every Blender of blender.org ships: they are taken from beside it.
_STARTUP = """
import sys
from pathlib import Path

sys.path += [str(folder) for folder in Path("/venv/lib").glob("python3.*/site-packages")]


def register():
    pass
"""


def _blender(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Blender without a window, with preferences of its own in a folder."""
    home = {"BLENDER_HOME": str(folder), "BLENDER_USER_RESOURCES": str(folder / "blender"), "GUI": "0"}
    return subprocess.Popen(
        ["bash", str(windowed.LAUNCHER), *arguments],
        cwd=ROOT,
        env=os.environ | home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_ctrl_c_ends_a_batch_after_the_lines_in_hand_and_the_same_command_goes_on(tmp_path: Path) -> None:
    if reason := windowed.missing():
        pytest.skip(reason)
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    with sheet.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("script", "file"), *(("Oh.", f"line {i}") for i in range(_LINES))])
    startup = tmp_path / "blender" / "scripts" / "startup"
    startup.mkdir(parents=True)
    (startup / "packages_beside.py").write_text(_STARTUP, encoding="utf-8")
    script = tmp_path / "install.py"
    script.write_text(_INSTALL, encoding="utf-8")
    runtime = windowed.runtime_for_window(RUNTIME / "window")
    install = _blender(
        tmp_path, "-b", "--python-exit-code", "3", "-P", str(script), "--", str(built(tmp_path)), str(runtime)
    )
    said, errors = install.communicate(timeout=300)
    assert install.returncode == 0, said + errors

    process = None

    def behave(handler: Handler) -> None:
        good(handler)
        if process is not None and len(handler.server.requests) == 9:
            # As a terminal does: all that was started there hears it.
            os.killpg(process.pid, signal.SIGINT)

    with serving(behave) as server:
        line = ("--command", "facescript", "batch", str(sheet), str(out), "--address", server.address)
        line += ("--backend", "server", "--server-model", "toy")
        process = _blender(tmp_path, *line)
        said, errors = process.communicate(timeout=300)
        assert process.returncode == 130, said + errors
        assert "Stopping after the lines in hand" in errors and "To go on:" in errors
        done = len(list(out.glob("line *.jsonl")))
        assert 0 < done < _LINES
        process = None
        again = _blender(tmp_path, *line)
        said, errors = again.communicate(timeout=300)
    assert again.returncode == 0, said + errors
    assert f"{_LINES} lines, {done} are through; {_LINES - done} to do" in said
    assert len(list(out.glob("line *.jsonl"))) == _LINES
