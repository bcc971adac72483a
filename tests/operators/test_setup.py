# SPDX-License-Identifier: GPL-3.0-or-later
"""Set Up through the installed zip: refused with a reason when it cannot work, and once for real."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from amounts import MAIN_BLENDER  # noqa: E402


def test_without_online_access_set_up_says_where_to_allow_it(extension: Any, tmp_path: Path) -> None:
    extension.preferences.runtime_folder = str(tmp_path / "runtime")
    bpy.context.preferences.system.use_online_access = False
    with pytest.raises(RuntimeError, match="Allow Online Access"):
        bpy.ops.facescript.set_up(wait=True)
    assert extension.session.error.code == "offline"
    assert extension.session.setup is None


def test_an_empty_folder_of_packages_is_an_error_that_names_it(extension: Any, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    extension.preferences.runtime_folder = str(tmp_path / "runtime")
    extension.preferences.wheels_folder = str(wheels)
    with pytest.raises(RuntimeError):
        bpy.ops.facescript.set_up(wait=True)
    assert extension.session.error.hint


def test_a_folder_of_packages_that_is_not_there_is_named(extension: Any, tmp_path: Path) -> None:
    extension.preferences.runtime_folder = str(tmp_path / "runtime")
    extension.preferences.wheels_folder = str(tmp_path / "unplugged")
    with pytest.raises(RuntimeError, match=r"There is no folder .*unplugged"):
        bpy.ops.facescript.set_up(wait=True)
    assert extension.session.error.code == "no_wheels"
    assert not list((tmp_path / "runtime").glob("env-*"))


def test_the_accelerator_is_the_preferences(extension: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operators = extension.module("operators.setup")
    asked: list[Any] = []
    monkeypatch.setattr(operators, "set_up", lambda runtime, options, cancelled: iter(asked.append(options) or ()))
    extension.preferences.runtime_folder = str(tmp_path / "runtime")
    bpy.context.preferences.system.use_online_access = True
    for accelerator in ("cuda", "cpu"):
        extension.preferences.accelerator = accelerator
        assert bpy.ops.facescript.set_up(wait=True) == {"FINISHED"}
    assert [options.accelerator for options in asked] == ["cuda", "cpu"]


def test_a_folder_of_packages_is_not_made_without_online_access(
    extension: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line = extension.module("operators.command_line")
    bpy.context.preferences.system.use_online_access = False
    assert command_line.main(["offline", str(tmp_path / "f"), "--platform", "windows", "--python", "3.13"]) == 1
    assert "Allow Online Access" in capsys.readouterr().err
    assert command_line.main(["offline", str(tmp_path / "f"), "--python", "2.7"]) == 2
    assert not (tmp_path / "f").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("CI") != "true", reason="downloads the packages again; it runs where CI=true is set")
@pytest.mark.skipif(not MAIN_BLENDER, reason="packages are fetched once, with the Blender of run.py")
def test_set_up_makes_a_runtime_that_generates(extension: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mit Ümlaut und Leerzeichen"
    extension.preferences.runtime_folder = str(folder)
    bpy.context.preferences.system.use_online_access = True
    assert bpy.ops.facescript.set_up(wait=True) == {"FINISHED"}
    assert (folder / "env-1").is_dir() and (folder / "runtime.json").is_file()
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.generate(script="[0s] eyes closed, lips pressed", wait=True)
    face = bpy.context.view_layer.objects.active.facescript
    assert [beat.text for beat in face.beats] == ["eyes closed, lips pressed"]
    assert bpy.ops.facescript.remove_runtime(wait=True) == {"FINISHED"}
    assert not folder.exists() or not any(folder.iterdir())
