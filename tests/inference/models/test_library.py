# SPDX-License-Identifier: GPL-3.0-or-later
"""Models are found where they are, with sizes and licences; only what was downloaded here is ever removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from facescript.inference.models import library, memory
from facescript.inference.setup.runtime import SETUP_LOCK, locked
from facescript.performance import FacescriptError
from model_folders import lora_folder, model_folder

APACHE = "---\nlanguage:\n- en\nlicense: apache-2.0\n---\n# A model\nlicense: mit\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def downloaded(own: Path, name: str) -> Path:
    folder = model_folder(own / library.folder_name(name), APACHE)
    (folder / library.RECORD).write_text(json.dumps({"name": name, "commit": "a" * 40}))
    return folder


def test_models_are_found_in_all_places_each_once(tmp_path: Path, cache: Path) -> None:
    own = tmp_path / "downloads"
    downloaded(own, "toys/tiny")
    model_folder(tmp_path / "mine" / "one")
    model_folder(tmp_path / "two", "no front matter")
    for commit in ("a" * 40, "b" * 40):
        model_folder(cache / "models--Big--Model" / "snapshots" / commit)
    (cache / "models--Big--Model" / "refs").mkdir()
    (cache / "models--Big--Model" / "refs" / "main").write_text("b" * 40)
    found = library.find(own, [tmp_path / "mine", tmp_path / "two", tmp_path / "mine" / "one", tmp_path / "gone"])
    assert [(m.name, m.ours, m.licence) for m in found] == [
        ("Big/Model", False, ""),
        ("one", False, ""),
        ("toys/tiny", True, "apache-2.0"),
        ("two", False, ""),
    ]
    assert found[0].folder.name == "b" * 40


def test_sizes_are_those_of_the_files_and_of_the_headers(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", weights=64 * 128)
    [found] = library.find(tmp_path / "none", [folder])
    assert found.parameters == 8192
    assert found.size == sum(path.stat().st_size for path in folder.iterdir())
    # At least the weights, in 4 bits.
    assert found.needed > 8192 // 2


def partly(own: Path, name: str) -> Path:
    """A download that was stopped in its weights."""
    folder = own / f"{library.folder_name(name)}.partial"
    folder.mkdir(parents=True)
    (folder / library.RECORD).write_text(json.dumps({"name": name, "commit": "a" * 40}))
    (folder / "model.safetensors.part").write_bytes(bytes(3000))
    (folder / SETUP_LOCK).touch()
    return folder


def test_a_download_that_was_stopped_is_found_with_what_is_there_and_removed(tmp_path: Path) -> None:
    own = tmp_path / "downloads"
    downloaded(own, "toys/tiny")
    half = partly(own, "toys/half")
    # Nothing had come of this one: its name was wrong.
    (own / "toys--none.partial").mkdir()
    found = library.find(own, [own])
    assert [(m.name, m.kind, m.ours) for m in found] == [("toys/half", "part", True), ("toys/tiny", "model", True)]
    assert found[0].folder == half and 3000 < found[0].size < 3200
    library.remove(half, own)
    assert not half.exists() and [m.name for m in library.find(own, [])] == ["toys/tiny"]


def test_a_download_that_is_running_is_not_removed(tmp_path: Path) -> None:
    half = partly(tmp_path, "toys/half")
    with locked(half), pytest.raises(FacescriptError) as caught:
        library.remove(half, tmp_path)
    assert (caught.value.code, str(caught.value)) == (
        "busy",
        f"{half} is being downloaded. Wait until that is done, or cancel it.",
    )
    assert (half / "model.safetensors.part").stat().st_size == 3000


def test_a_part_of_a_download_that_cannot_be_removed_stays_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = partly(tmp_path, "toys/half")
    with monkeypatch.context() as patch:
        hold(patch, "model.safetensors.part")
        with pytest.raises(FacescriptError, match="cannot be removed: in use"):
            library.remove(half, tmp_path)
    assert [m.kind for m in library.find(tmp_path, [])] == ["part"]


def test_adapters_are_found_as_such(tmp_path: Path) -> None:
    own = tmp_path / "downloads"
    ours = lora_folder(own / "toys--lora", APACHE)
    (ours / library.RECORD).write_text('{"name": "toys/lora"}')
    lora_folder(tmp_path / "mine" / "studio")
    found = library.find(own, [tmp_path / "mine"])
    assert [(m.name, m.kind, m.licence, m.ours) for m in found] == [
        ("studio", "adapter", "", False),
        ("toys/lora", "adapter", "apache-2.0", True),
    ]
    assert found[0].size == 1000 + len('{"peft_type": "LORA"}')
    assert library.is_adapter(ours) and not library.is_adapter(tmp_path / ("x" * 5000))


def test_what_is_no_model_is_left_out(tmp_path: Path) -> None:
    lora = model_folder(tmp_path / "all" / "lora")
    (lora / "adapter_config.json").write_text("{}")
    cut = model_folder(tmp_path / "all" / "cut")
    (cut / "model.safetensors").write_bytes(b"\xff" * 20)
    (model_folder(tmp_path / "all" / "bare") / "model.safetensors").unlink()
    (tmp_path / "all" / "empty").mkdir()
    assert library.find(tmp_path / "none", [tmp_path / "all"]) == []


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (APACHE, "apache-2.0"),
        ("---\nlicense: 'mit'\r\n---\r\n", "mit"),
        ("---\nlicense: other\nlicense_name: tiny-community\n---\n", "tiny-community"),
        ("---\nlicense: other\n---\n", "other"),
        ("# license: mit\n", ""),
        ("---\nlicense: mit\nno end", ""),
        ("---\ntags: []\n---\nlicense: mit\n", ""),
    ],
)
def test_a_licence_is_what_the_cards_front_matter_says(tmp_path: Path, card: str, licence: str) -> None:
    assert library.licence(model_folder(tmp_path / "m", card)) == licence


def test_only_what_was_downloaded_is_removed(tmp_path: Path) -> None:
    own = tmp_path / "downloads"
    ours, other = downloaded(own, "toys/tiny"), model_folder(tmp_path / "mine")
    (other / library.RECORD).write_text("{}")
    bare = model_folder(own / "put--here")
    if os.name != "nt":
        (own / "toys--link").symlink_to(other, target_is_directory=True)
    for folder in (other, bare, own, own / "toys--link", own / ".." / "mine", own / "toys--gone"):
        with pytest.raises(FacescriptError) as caught:
            library.remove(folder, own)
        assert caught.value.code == "not_ours"
    assert other.is_dir() and bare.is_dir()
    library.remove(ours, own)
    assert not ours.exists()


def hold(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have files stay that are called so, as those do that are open on Windows."""
    unlink = Path.unlink

    def kept(path: Path, missing_ok: bool = False) -> None:
        if path.name in names:
            raise PermissionError(13, "in use", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", kept)


def test_a_model_that_a_worker_uses_stays_whole_and_is_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "downloads"
    folder = downloaded(own, "toys/tiny")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        hold(patch, "model.safetensors")
        with pytest.raises(FacescriptError) as caught:
            library.remove(folder, own)
    assert (caught.value.code, str(caught.value)) == (
        "in_use",
        f"Some files in {folder} cannot be removed: a worker uses them. "
        "Close every Blender that uses the model, then remove it again.",
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert library.is_whole(folder) and [found.name for found in library.find(own, [])] == ["toys/tiny"]
    library.remove(folder, own)
    assert not folder.exists()


def test_half_a_model_is_never_offered_and_can_be_removed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "downloads"
    folder = downloaded(own, "toys/tiny")
    (folder / "model-2.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    # The second of its weights; later another file.
    for held, left in (("model.safetensors", True), ("README.md", False)):
        with monkeypatch.context() as patch:
            hold(patch, held)
            with pytest.raises(FacescriptError, match="a worker uses them"):
                library.remove(folder, own)
        assert (folder / library.RECORD).is_file() and (folder / held).is_file()
        assert (folder / "model.safetensors").exists() is left
        assert not library.is_whole(folder) and library.find(own, []) == []
    library.remove(folder, own)
    assert not folder.exists()


def test_half_an_adapter_is_not_whole_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = downloaded(tmp_path, "toys/lora")
    (folder / "config.json").rename(folder / "adapter_config.json")
    for held, whole in (("model.safetensors", True), ("README.md", False)):
        with monkeypatch.context() as patch:
            hold(patch, held)
            with pytest.raises(FacescriptError, match="a worker uses them"):
                library.remove(folder, tmp_path)
        assert library.is_whole(folder) is whole


def test_a_model_or_an_adapter_is_whole_with_its_configuration_and_its_record(tmp_path: Path) -> None:
    assert not library.is_whole(tmp_path / "none")
    for name in ("config.json", "adapter_config.json"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("{}")
        assert not library.is_whole(folder)
        (folder / library.RECORD).write_text("{}")
        assert library.is_whole(folder)
        (folder / name).unlink()
        assert not library.is_whole(folder)


@pytest.mark.parametrize("name", ["", "tiny", "a/b/c", "../b", "a/..", "a/b c", "/a", "a--b/c", "a/" + "b" * 200])
def test_names_that_are_none_on_the_hub_are_refused(name: str) -> None:
    with pytest.raises(FacescriptError, match="no name of a model on the hub"):
        library.folder_name(name)


def test_free_memory_is_some_number_of_bytes() -> None:
    found = memory.free()
    assert found is None or 1 << 20 < found < 1 << 50
