# SPDX-License-Identifier: GPL-3.0-or-later
"""The model browser through the installed zip: found, chosen, removed, and downloaded only if that is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.inference.models import library  # noqa: E402
from model_folders import model_folder  # noqa: E402


@pytest.fixture
def chosen(extension: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The preferences, with a runtime's folder that holds one downloaded model, and one folder of the user's."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    preferences = extension.preferences
    preferences.runtime_folder = str(tmp_path / "runtime")
    folder = model_folder(tmp_path / "runtime" / "downloads" / "toys--tiny", "---\nlicense: mit\n---\n")
    (folder / library.RECORD).write_text(json.dumps({"name": "toys/tiny", "commit": "a" * 40}))
    model_folder(tmp_path / "mine" / "own")
    yield preferences
    preferences.model_folders.clear()


def found(extension: Any) -> list[tuple[str, bool]]:
    assert bpy.ops.facescript.find_models() == {"FINISHED"}
    return [(m.name, m.ours) for m in extension.module("operators.models").shelf.remembered(bpy.context)]


def test_models_are_found_chosen_and_removed(extension: Any, chosen: Any, tmp_path: Path) -> None:
    assert found(extension) == [("toys/tiny", True)]
    assert bpy.ops.facescript.add_model_folder(directory=str(tmp_path / "mine")) == {"FINISHED"}
    assert bpy.ops.facescript.add_model_folder(directory=str(tmp_path / "mine")) == {"FINISHED"}
    assert [row.path for row in chosen.model_folders] == [str(tmp_path / "mine")]
    assert found(extension) == [("own", False), ("toys/tiny", True)]
    tiny = tmp_path / "runtime" / "downloads" / "toys--tiny"
    bpy.ops.facescript.choose_model(folder=str(tiny))
    assert (chosen.backend, chosen.model_folder) == ("local", str(tiny))
    with pytest.raises(RuntimeError, match="was not downloaded by Facescript"):
        bpy.ops.facescript.remove_model(folder=str(tmp_path / "mine" / "own"))
    assert bpy.ops.facescript.remove_model(folder=str(tiny)) == {"FINISHED"}
    assert not tiny.exists() and chosen.model_folder == ""
    assert found(extension) == [("own", False)]
    bpy.ops.facescript.drop_model_folder(index=0)
    assert found(extension) == [] and (tmp_path / "mine" / "own").is_dir()
    with pytest.raises(RuntimeError, match="That is no folder"):
        bpy.ops.facescript.add_model_folder(directory=str(tmp_path / "gone"))


def test_nothing_is_downloaded_without_online_access_or_a_runtime(extension: Any, chosen: Any) -> None:
    system = bpy.context.preferences.system
    before = system.use_online_access
    try:
        system.use_online_access = False
        with pytest.raises(RuntimeError, match="Allow online access"):
            bpy.ops.facescript.download_model(name="toys/tiny")
        system.use_online_access = True
        if bpy.app.online_access:
            with pytest.raises(RuntimeError, match="is not set up"):
                bpy.ops.facescript.download_model(name="toys/tiny")
    finally:
        system.use_online_access = before
    with pytest.raises(RuntimeError, match="No download is running"):
        bpy.ops.facescript.cancel_download()


def test_what_is_said_of_a_model_has_its_sizes_and_its_licence(extension: Any, chosen: Any) -> None:
    bpy.ops.facescript.find_models()
    [tiny] = extension.module("operators.models").shelf.remembered(bpy.context)
    panel = extension.module("panels.models")
    assert panel.said(tiny) == "0 M weights, 0 MB on the disk, mit"
    assert "more than is free" in panel.memory_said(tiny, False) and "more" not in panel.memory_said(tiny, True)
