# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that are named as on the Hugging Face hub, and are on this machine or not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from facescript.inference.worker import hub_cache
from facescript.performance import FacescriptError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hugging Face's cache with one model, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("the network was used"))
    model, revision = tmp_path / "models--Some--Model-1.5", "0123456789abcdef0123456789abcdef01234567"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(revision)
    (model / "snapshots" / revision).mkdir(parents=True)
    (model / "snapshots" / revision / "config.json").write_text("{}")
    return model / "snapshots" / revision


def test_a_name_is_the_snapshot_that_was_downloaded(cache: Path) -> None:
    assert hub_cache.folder("Some/Model-1.5") == cache


def test_a_name_that_was_not_downloaded_is_an_error_that_says_how(cache: Path) -> None:
    with pytest.raises(FacescriptError, match="Qwen/Qwen3-14B is no folder, and no model of that name") as caught:
        hub_cache.folder("Qwen/Qwen3-14B")
    assert caught.value.code == "no_model"
    assert "hf download Qwen/Qwen3-14B" in caught.value.hint


def test_a_folder_comes_before_a_name(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "Some" / "Model-1.5").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub_cache.folder("Some/Model-1.5") == Path("Some/Model-1.5")


@pytest.mark.parametrize("given", ["/nowhere/at/all", "../x/y", "a//b", "model", "C:\\models\\a", "a/b/c", "ä/b"])
def test_what_can_be_no_name_is_left_as_a_path(cache: Path, given: str) -> None:
    assert hub_cache.folder(given) == Path(given)
