# SPDX-License-Identifier: GPL-3.0-or-later
"""An adapter is whole and fits, or it is refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from facescript.inference.options import EMBEDDED_MODEL
from facescript.inference.worker import adapter
from facescript.inference.worker.slots import Decoding, SlotsConfig
from facescript.performance import CHANNELS, FacescriptError
from model_folders import forbid

FILES = (
    "poser_slots.safetensors",
    "planner_slots.safetensors",
    "repertoire.safetensors",
    "poser/adapter_model.safetensors",
    "poser/adapter_config.json",
)
CONFIG = SlotsConfig(layers=(0, 2, 4), hidden=32, width=16)
DECODING = Decoding(0.3, 0.25, 0.1)


def base(**changes: int) -> Any:
    """A base model as far as the check looks at it."""
    return SimpleNamespace(
        config=SimpleNamespace(**{"hidden_size": 32, "num_hidden_layers": 6, "vocab_size": 400, **changes})
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(FILES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes([number]) * 1000)
    adapter.write_manifest(tmp_path, base(), CONFIG, DECODING)
    return tmp_path


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / adapter.MANIFEST
    found = json.loads(path.read_text(encoding="utf-8"))
    edit(found)
    path.write_text(json.dumps(found), encoding="utf-8")


def refused(folder: Path, model: Any = None) -> str:
    with pytest.raises(FacescriptError) as caught:
        adapter.check(folder, model or base())
    assert caught.value.code == "bad_adapter"
    assert caught.value.hint
    return caught.value.message


def test_what_was_written_is_accepted(folder: Path) -> None:
    found = adapter.check(folder, base())
    assert (found.folder, found.config, found.decoding) == (folder, CONFIG, DECODING)


def test_the_manifest_says_what_the_adapter_fits(folder: Path) -> None:
    found = json.loads((folder / adapter.MANIFEST).read_text(encoding="utf-8"))
    assert found["format"] == 2
    assert found["base"] == {"name": EMBEDDED_MODEL, "hidden": 32, "layers": 6, "vocabulary": 400}
    assert found["channels"] == [channel.name for channel in CHANNELS]
    assert set(found["files"]) == set(FILES)


def test_writing_again_gives_the_same_manifest(folder: Path) -> None:
    before = (folder / adapter.MANIFEST).read_bytes()
    adapter.write_manifest(folder, base(), CONFIG, DECODING)
    assert (folder / adapter.MANIFEST).read_bytes() == before


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_noticed(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[500] ^= 1
    (folder / name).write_bytes(content)
    assert str(folder / name) in refused(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_shortened_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    assert str(folder / name) in refused(folder)
    (folder / name).unlink()
    assert str(folder / name) in refused(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_manifest_leaves_out_is_missed(folder: Path, name: str) -> None:
    """Else the loader would take whatever lies there, even pickled weights."""
    change(folder, lambda found: found["files"].pop(name))
    assert name in refused(folder)


@pytest.mark.parametrize("part", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_another_base_model_is_refused(folder: Path, part: str) -> None:
    message = refused(folder, base(**{part: 999}))
    assert "999" in message
    assert EMBEDDED_MODEL in message


def test_a_base_of_another_name_is_refused(folder: Path) -> None:
    change(folder, lambda found: found["base"].update(name="other-135m"))
    assert "other-135m" in refused(folder)


@pytest.mark.parametrize(
    "slots",
    [
        *({"layers": [0, 2, 7]}, {"layers": [0, 4, 2]}, {"layers": [-1, 4]}, {"hidden": 64}),
        # Readers that would fill the memory.
        *({"width": 10**7}, {"depth": 10**5}, {"heads": 0}, {"heads": 3}, {"width": "16"}),
    ],
)
def test_hidden_states_that_the_base_does_not_have_are_refused(folder: Path, slots: dict[str, Any]) -> None:
    change(folder, lambda found: found["slots"].update(slots))
    assert "hidden states" in refused(folder)


def test_an_adapter_of_the_users_is_not_mended_by_another_extension(folder: Path) -> None:
    (folder / FILES[0]).write_bytes(b"cut")
    with pytest.raises(FacescriptError, match=r"run\.py train"):
        adapter.check(folder, base())


@pytest.mark.parametrize("where", ["channels", "slots"])
def test_another_order_of_channels_is_refused(folder: Path, where: str) -> None:
    def swap(found: dict[str, Any]) -> None:
        names = found["channels"] if where == "channels" else found["slots"]["names"]
        names[0], names[1] = names[1], names[0]

    change(folder, swap)
    assert "channels" in refused(folder)


def test_fewer_channels_are_refused(folder: Path) -> None:
    change(folder, lambda found: found["channels"].pop())
    assert "channels" in refused(folder)


def test_another_format_is_named_even_if_all_else_changed_with_it(folder: Path) -> None:
    change(folder, lambda found: found.update(format=7))
    assert "format 7" in refused(folder)
    (folder / adapter.MANIFEST).write_text('{"format": 7, "weights": []}', encoding="utf-8")
    assert "format 7" in refused(folder)


@pytest.mark.parametrize("name", ["../outside.safetensors", "poser/../../outside.safetensors", "{absolute}"])
def test_files_outside_of_the_folder_are_not_read(folder: Path, name: str) -> None:
    outside = folder.parent / "outside.safetensors"
    outside.write_bytes(b"weights")
    name = name.format(absolute=outside)
    digest = adapter._digest(outside)
    change(folder, lambda found: found["files"].update({name: digest}))
    assert "outside.safetensors" in refused(folder)


@pytest.mark.parametrize("digest", ["", None])
def test_a_missing_file_is_noticed_even_if_the_manifest_has_no_digest(folder: Path, digest: str | None) -> None:
    (folder / FILES[0]).unlink()
    change(folder, lambda found: found["files"].update({FILES[0]: digest}))
    assert str(folder / FILES[0]) in refused(folder)


def test_a_name_that_no_file_can_have_is_refused(folder: Path) -> None:
    change(folder, lambda found: found["files"].update({"a\0b": ""}))
    assert "a NUL" in refused(folder)
    change(folder, lambda found: (found["files"].pop("a\0b"), found["files"].update({"x" * 300: ""})))
    assert "missing" in refused(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"adapter"',
        b"\xff\xfe\x00",
        b'{"format": 2}',
        b'{"format": 2, "base": {}, "files": 3, "slots": {}, "decoding": {}, "channels": []}',
    ],
)
def test_a_broken_manifest_is_refused_by_name(folder: Path, content: bytes) -> None:
    (folder / adapter.MANIFEST).write_bytes(content)
    assert str(folder / adapter.MANIFEST) in refused(folder)


@pytest.mark.parametrize(
    "edit",
    [
        lambda found: found["slots"].pop("layers"),
        lambda found: found["slots"].update(layers=3),
        lambda found: found["slots"].update(colour="red"),
        lambda found: found.update(slots=[]),
        lambda found: found["decoding"].update(colour="red"),
        lambda found: found.update(decoding=None),
        lambda found: found.pop("channels"),
    ],
)
def test_a_manifest_that_lacks_something_or_has_too_much_is_refused(
    folder: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    change(folder, edit)
    assert str(folder / adapter.MANIFEST) in refused(folder)


def test_a_missing_manifest_is_refused_by_name(folder: Path) -> None:
    (folder / adapter.MANIFEST).unlink()
    assert str(folder / adapter.MANIFEST) in refused(folder)


def test_a_lora_for_a_local_model_is_told_from_a_spoilt_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(FacescriptError) as caught:
        adapter.check(tmp_path, base())
    assert (caught.value.code, str(caught.value)) == (
        "bad_adapter",
        f"{tmp_path} holds a LoRA for a local model (adapter_config.json), not an adapter for the embedded one. "
        "Choose it as Adapter Folder beside its model, with Local Model; on the command line, add --model FOLDER.",
    )


@pytest.mark.parametrize("name", ["adapter.json", "repertoire.safetensors"])
def test_a_file_that_may_not_be_read_was_not_changed(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, name)
    with pytest.raises(FacescriptError) as caught:
        adapter.check(folder, base())
    assert f"Cannot read {folder / name}: Permission denied." in caught.value.message
    assert (caught.value.code, caught.value.hint) == ("bad_adapter", "Check the path and its permissions.")


def test_names_that_no_folder_can_have_hold_nothing(tmp_path: Path) -> None:
    assert "no use" in refused(tmp_path / ("x" * 5000))
