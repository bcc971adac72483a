# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy Diagnostics in the installed extension, and the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

SECRET = "Zanzibar77"


@pytest.fixture
def planted(extension: Any, tmp_path: Path) -> Any:
    """The extension with a private word wherever the user may have put one."""
    chosen = extension.preferences
    folder = tmp_path / SECRET / "runtime"
    folder.mkdir(parents=True)
    chosen.runtime_folder, chosen.wheels_folder = str(folder), str(folder)
    chosen.model_folder = chosen.adapter_folder = str(tmp_path / SECRET)
    chosen.backend = "server"
    chosen.server_address, chosen.server_key, chosen.server_model = f"https://{SECRET}.example", SECRET, SECRET
    bpy.ops.facescript.add_face()
    face = bpy.context.view_layer.objects.active
    face.name = face.data.name = SECRET
    face.facescript.script = face.facescript.background = face.facescript.emotion = SECRET
    yield extension
    chosen.server_address = chosen.server_key = chosen.server_model = ""


def test_the_report_has_the_last_errors_and_nothing_of_the_users(planted: Any, capsys: Any) -> None:
    for path in (f"/home/{SECRET}/a.csv", f"//{SECRET}.jsonl"):
        with pytest.raises(RuntimeError):
            bpy.ops.facescript.import_performance(filepath=path)
    planted.preferences.server_address = f"ftp://{SECRET}"
    with pytest.raises(RuntimeError):
        bpy.ops.facescript.generate()
    text = planted.module("operators.diagnostics").text(bpy.context)
    assert SECRET.lower() not in text.lower()
    assert f"Blender: {'.'.join(map(str, bpy.app.version))}, without a window" in text
    assert "Model: server" in text and "in a chosen folder" in text
    assert "no_file: Cannot read ...: ...." in text
    assert text.count("\n") >= 10


def test_the_command_prints_it(extension: Any, capsys: Any) -> None:
    assert extension.module("operators.command_line").main(["diagnostics"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Facescript: 0.1.0\nBlender: ")
    assert "Runtime: " in printed


def test_the_button_is_there_and_says_what_it_did(extension: Any) -> None:
    assert bpy.ops.facescript.copy_diagnostics() == {"FINISHED"}
