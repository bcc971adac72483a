# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a stub of the hub, by the real process: cut and gone on with, checked, nothing but what is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

from facescript.inference.models import download as downloading
from facescript.inference.models import library
from facescript.inference.worker import hub_download
from facescript.performance import FacescriptError
from hub_server import COMMIT, NAME, Hub, serving

WEIGHTS = bytes(range(256)) * 4096
FILES = {
    "config.json": b'{"hidden_size": 4}',
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "README.md": b"---\nlicense: apache-2.0\n---\n# Tiny\n",
    "LICENSE": b"Apache License",
    "model.safetensors": WEIGHTS,
    # Never fetched.
    "pytorch_model.bin": b"cos\nsystem\n",
    "modeling_tiny.py": b"import os\n",
    "consolidated.safetensors": WEIGHTS,
    "original/model.safetensors": WEIGHTS,
    "../outside.json": b"{}",
    ".hidden.json": b"{}",
}
FETCHED = {"config.json", "tokenizer.json", "chat_template.jinja", "README.md", "LICENSE", "model.safetensors"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub, where the environment says that it is."""
    with serving(dict(FILES)) as found:
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield found


@pytest.fixture
def runtime(tmp_path: Path) -> Any:
    """A runtime as far as a download looks at it."""
    return SimpleNamespace(python=Path(sys.executable), folder=tmp_path / "runtime")


def fetched(runtime: Any, name: str = NAME) -> Path:
    *_, last = downloading.download(runtime, name)
    assert (last.step, last.fraction) == ("done", 1.0)
    return Path(last.message)


def refused(runtime: Any, name: str = NAME) -> FacescriptError:
    with pytest.raises(FacescriptError) as caught:
        list(downloading.download(runtime, name))
    return caught.value


def test_what_is_read_is_fetched_at_one_commit_and_nothing_else(hub: Hub, runtime: Any) -> None:
    folder = fetched(runtime)
    assert folder == runtime.folder / "downloads" / "toys--tiny"
    assert {path.name for path in folder.iterdir()} == {*FETCHED, library.RECORD}
    assert all((folder / name).read_bytes() == FILES[name] for name in FETCHED)
    assert json.loads((folder / library.RECORD).read_text()) == {"name": NAME, "commit": COMMIT}
    files = [path for path, _ in hub.asked if "/resolve/" in path]
    assert len(files) == len(FETCHED) and all(f"/resolve/{COMMIT}/" in path for path in files)
    # It is there: nothing is asked again.
    hub.asked.clear()
    assert fetched(runtime) == folder and hub.asked == []


def test_a_download_that_was_cut_goes_on_in_the_middle_of_the_file_and_at_the_same_commit(
    hub: Hub, runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.cut_at, hub.cuts = 300_000, 1
    partial = runtime.folder / "downloads" / "toys--tiny.partial"
    partial.mkdir(parents=True)
    (partial / library.RECORD).write_text(json.dumps({"name": NAME, "commit": COMMIT}))
    (partial / "model.safetensors.part").write_bytes(WEIGHTS[:400_000])
    # The model has been changed since.
    hub.commit = "b" * 40
    folder = fetched(runtime)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [asked for path, asked in hub.asked if path.endswith("model.safetensors")]
    # Whole chunks of 256 KiB are kept of what came.
    assert ranges == ["bytes=400000-", "bytes=662144-"]
    assert json.loads((folder / library.RECORD).read_text())["commit"] == COMMIT
    assert not partial.exists()


def test_a_download_that_is_stopped_leaves_what_came_and_goes_on(hub: Hub, runtime: Any) -> None:
    hub.cut_at, hub.cuts = 300_000, 100
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        parts = list(runtime.folder.rglob("model.safetensors.part"))
        asked += bool(parts and parts[0].stat().st_size >= 262_144)
        return asked > 1

    with pytest.raises(FacescriptError, match=r"The download was stopped\. Press Download to go on"):
        list(downloading.download(runtime, NAME, cancelled))
    assert not (runtime.folder / "downloads" / "toys--tiny").exists()
    hub.cuts = 0
    assert (fetched(runtime) / "model.safetensors").read_bytes() == WEIGHTS
    path, asked_for = hub.asked[-1]
    assert path.endswith("model.safetensors") and int(asked_for.strip("bytes=-")) >= 262_144


def test_a_file_that_is_not_what_the_hub_says_is_not_kept(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for changed in ("model.safetensors", "config.json"):
        lied = hub.listing(COMMIT)
        with monkeypatch.context() as patch:
            patch.setattr(hub, "listing", lambda commit, lied=lied: lied)
            patch.setitem(hub.files, changed, FILES[changed][::-1])
            runtime = SimpleNamespace(python=Path(sys.executable), folder=tmp_path / changed)
            error = refused(runtime)
        assert error.code == "bad_hash" and changed in error.message
        assert not list(runtime.folder.rglob(f"{changed}*"))


def test_what_is_left_of_a_removal_is_fetched_anew_and_no_other_folder_is_touched(hub: Hub, runtime: Any) -> None:
    folder = fetched(runtime)
    # Something of it was in use.
    for path in folder.iterdir():
        if path.name not in ("model.safetensors", library.RECORD):
            path.unlink()
    (folder / "model.safetensors").write_bytes(b"half")
    assert fetched(runtime) == folder
    assert all((folder / name).read_bytes() == FILES[name] for name in FETCHED)
    (folder / library.RECORD).unlink()
    error = refused(runtime)
    assert (error.code, error.message, error.hint) == (
        "not_ours",
        f"{folder} is in the way: it is no whole model that Facescript downloaded.",
        "Delete that folder or move it away, then press Download again.",
    )
    assert {path.name for path in folder.iterdir()} == FETCHED
    for path in folder.iterdir():
        path.unlink()
    assert fetched(runtime) == folder and library.is_whole(folder)


def test_a_commit_that_is_gone_is_left_for_the_newest_with_the_files_that_are_the_same(hub: Hub, runtime: Any) -> None:
    partial = runtime.folder / "downloads" / "toys--tiny.partial"
    partial.mkdir(parents=True)
    (partial / library.RECORD).write_text(json.dumps({"name": NAME, "commit": COMMIT}))
    (partial / "config.json").write_bytes(FILES["config.json"])
    # As long as the new one, and another.
    (partial / "README.md").write_bytes(FILES["README.md"][::-1])
    (partial / "vocab.txt").write_bytes(b"no more")
    (partial / "model.safetensors.part").write_bytes(b"old" * 1000)
    hub.gone, hub.commit = {COMMIT}, "b" * 40
    folder = fetched(runtime)
    assert {path.name for path in folder.iterdir()} == {*FETCHED, library.RECORD}
    assert all((folder / name).read_bytes() == FILES[name] for name in FETCHED)
    assert json.loads((folder / library.RECORD).read_text()) == {"name": NAME, "commit": "b" * 40}
    asked = {path.rpartition("/")[2]: begin for path, begin in hub.asked if "/resolve/" in path}
    # What was the same is not fetched again, and nothing goes on in the middle of another file.
    assert asked == dict.fromkeys(FETCHED - {"config.json"}, "")


def test_a_file_without_a_digest_is_checked_by_its_size_and_one_without_a_size_is_refused(
    hub: Hub, runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = hub.listing(COMMIT)
    for row in listing["siblings"]:
        row["blobId"] = None
    monkeypatch.setattr(hub, "listing", lambda commit: listing)
    assert (fetched(runtime) / "config.json").read_bytes() == FILES["config.json"]
    library.remove(runtime.folder / "downloads" / "toys--tiny", runtime.folder / "downloads")
    del listing["siblings"][0]["size"]
    error = refused(runtime)
    assert (error.code, error.message) == ("bad_model", "The hub does not say how large config.json is.")


def test_a_token_that_is_not_accepted_is_said(
    hub: Hub, runtime: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuses_tokens = True
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    error = refused(runtime)
    assert (error.code, str(error)) == (
        "bad_token",
        "The hub does not accept HF_TOKEN (401). "
        "Start Blender with one that is valid, or without it: most models need none.",
    )
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "token").write_text("hf_secret")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    error = refused(runtime)
    assert (error.code, str(error)) == (
        "bad_token",
        "The hub does not accept the token that this machine is logged in with (401). "
        "Log in again (hf auth login) or out (hf auth logout).",
    )


def test_what_cannot_be_fetched_is_named_with_what_to_do(hub: Hub, runtime: Any, monkeypatch: Any) -> None:
    error = refused(runtime, "toys/other")
    assert (error.code, error.message) == ("no_model", "There is no model toys/other on the hub, or it is private.")
    del hub.files["model.safetensors"]
    assert refused(runtime).code == "bad_model"
    hub.gated = True
    assert refused(runtime).code == "gated" and "HF_TOKEN" in refused(runtime).hint
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert refused(runtime).code == "no_network"
    for name in ("tiny", "../tiny", "a/b/c", "a/..", "a/b c", ""):
        assert refused(runtime, name).code == "bad_name"
    assert [path.name for path in (runtime.folder / "downloads").iterdir() if not path.name.endswith(".partial")] == []


@pytest.mark.parametrize(
    ("name", "fetched"),
    [
        ("model-00001-of-00002.safetensors", True),
        ("model.safetensors.index.json", True),
        ("tokenizer.model", True),
        ("LICENSE.txt", True),
        ("model.safetensors.py", False),
        ("pickle.bin", False),
        ("a/config.json", False),
        ("..\\config.json", False),
        ("-rf.json", False),
        ("config.json\n", False),
    ],
)
def test_only_plain_names_of_known_kinds_are_fetched(name: str, fetched: bool) -> None:
    assert hub_download.wanted(name) is fetched
