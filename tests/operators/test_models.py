# SPDX-License-Identifier: GPL-3.0-or-later
"""The model browser through the installed zip: found, chosen, removed, and downloaded only if that is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.inference.models import library  # noqa: E402
from model_folders import lora_folder, model_folder  # noqa: E402


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


class Layout:
    """Notes down what is drawn; what is set on a button has to be one of the operator's properties."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.buttons: list[str] = []
        self.scale_y = 1.0

    def row(self, **_: Any) -> Layout:
        """A part of it."""
        return self

    box = column = row

    def label(self, text: str = "", **_: Any) -> None:
        """A text."""
        self.texts.append(text)

    def progress(self, text: str = "", **_: Any) -> None:
        """A bar."""
        self.texts.append(text)

    def prop(self, data: Any, name: str, **_: Any) -> None:
        """A field, which has to be there."""
        self.texts.append(data.bl_rna.properties[name].name)

    def operator(self, name: str, text: str = "", icon: str = "NONE", emboss: bool = True) -> Any:
        """A button."""
        kind = getattr(bpy.ops.facescript, name.partition(".")[2]).get_rna_type()
        assert icon in bpy.types.UILayout.bl_rna.functions["operator"].parameters["icon"].enum_items
        self.buttons.append(name.partition(".")[2])

        class Button:
            def __setattr__(self, key: str, value: Any) -> None:
                assert key in kind.properties, (name, key)

        return Button()


def drawn(extension: Any) -> Layout:
    layout = Layout()
    extension.module("panels.models").draw_models(layout, bpy.context, 900)
    return layout


def test_the_preferences_show_what_there_is_and_how_far_a_download_is(extension: Any, chosen: Any) -> None:
    shelf = extension.module("operators.models").shelf
    shelf.forget()
    assert "Looking for models ..." in drawn(extension).texts
    bpy.ops.facescript.find_models()
    layout = drawn(extension)
    assert {"toys/tiny", "From the Hub"} <= set(layout.texts)
    assert any(text.endswith("on the disk, mit") for text in layout.texts)
    assert layout.buttons == ["find_models", "add_model_folder", "choose_model", "remove_model", "download_model"]
    shelf.job, shelf.progress = object(), type(shelf.progress)("download", 0.25, "toys/tiny: 1.0 MB of 4.0 MB")
    try:
        layout = drawn(extension)
        assert {"25%", "toys/tiny: 1.0 MB of 4.0 MB"} <= set(layout.texts)
        assert layout.buttons[-1] == "cancel_download"
    finally:
        shelf.job = None


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
    assert panel.memory_said(tiny, False).endswith(", more than is free here; a GPU with that much can run it.")
    assert "more" not in panel.memory_said(tiny, True)


def test_a_download_that_was_stopped_can_go_on_or_be_removed(extension: Any, chosen: Any, tmp_path: Path) -> None:
    half = tmp_path / "runtime" / "downloads" / "toys--half.partial"
    half.mkdir()
    (half / library.RECORD).write_text(json.dumps({"name": "toys/half", "commit": "a" * 40}))
    (half / "model.safetensors.part").write_bytes(bytes(2_000_000))
    assert found(extension) == [("toys/half", True), ("toys/tiny", True)]
    layout = drawn(extension)
    assert {"toys/half", "Partly downloaded, 2 MB"} <= set(layout.texts)
    assert layout.buttons[2:4] == ["download_model", "remove_model"]
    assert bpy.ops.facescript.remove_model(folder=str(half)) == {"FINISHED"}
    assert not half.exists() and found(extension) == [("toys/tiny", True)]


def test_an_adapter_is_listed_chosen_and_removed_as_such(extension: Any, chosen: Any, tmp_path: Path) -> None:
    lora = lora_folder(tmp_path / "runtime" / "downloads" / "toys--lora", "---\nlicense: mit\n---\n")
    (lora / library.RECORD).write_text('{"name": "toys/lora"}')
    chosen.model_folder = "/models/base"
    assert found(extension) == [("toys/lora", True), ("toys/tiny", True)]
    assert "Adapter (LoRA) for a model, 0 MB on the disk, mit" in drawn(extension).texts
    bpy.ops.facescript.choose_model(folder=str(lora))
    assert (chosen.backend, chosen.adapter_folder, chosen.model_folder) == ("local", str(lora), "/models/base")
    bpy.ops.facescript.remove_model(folder=str(lora))
    assert (chosen.adapter_folder, chosen.model_folder) == ("", "/models/base")
