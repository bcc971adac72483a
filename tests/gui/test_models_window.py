# SPDX-License-Identifier: GPL-3.0-or-later
"""A windowed Blender: a model comes from a stub of the hub, performs a script, and goes again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import families
import hub_server
import pytest
import windowed


def _files(folder: Path) -> dict[str, bytes]:
    """A small Qwen3 with random weights, as its makers would put it on the hub."""
    pieces = families.tokenizer("digit by digit", "qwen3")
    families.model("qwen3", len(pieces)).float().save_pretrained(folder)
    pieces.save_pretrained(folder)
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    return found | {
        "README.md": b"---\nlicense: mit\n---\n# Tiny\n",
        # Something that is read, and takes a while.
        "LICENSE": b"Permission is granted.\n" * 100_000,
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    if reason := windowed.missing():
        pytest.skip(reason)
    files = _files(tmp_path_factory.mktemp("model"))
    with hub_server.serving(files) as hub, pytest.MonkeyPatch.context() as environment:
        hub.pace = 0.1
        environment.setenv("HF_ENDPOINT", hub.address)
        environment.setenv("NO_PROXY", "127.0.0.1")
        environment.setenv("HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
        environment.delenv("HF_HUB_OFFLINE", raising=False)
        seen = windowed.happened(tmp_path_factory, "models_in_window.py", model=True, name=hub_server.NAME)
        return seen | {"asked": hub.asked}


pytestmark = [pytest.mark.window, pytest.mark.model, pytest.mark.slow]


def test_a_download_is_cancelled_and_gone_on_with_where_it_was(found: dict[str, Any]) -> None:
    said, fraction = found["cancelled"]
    assert said.startswith("The download was stopped. Press Download to go on where it stopped.")
    assert 0.3 <= fraction < 1.0
    assert found["listed_when_cancelled"] == [[hub_server.NAME, "part"]]
    assert found["note"].startswith("The model is in ")
    # The second try asked for the rest of the file that the first one had begun.
    assert [begin for path, begin in found["asked"] if path.endswith("LICENSE") and begin not in ("", "bytes=0-")]


def test_the_model_that_was_chosen_performs(found: dict[str, Any]) -> None:
    assert found["chosen"] == ["local", True]
    assert found["licence"] == "mit"
    assert found["session_error"] == ""
    assert found["beats"] == ["Both brows shoot up.", "Lids fall shut."]
    assert found["model"].startswith("toys--tiny")


def test_a_model_that_is_removed_leaves_nothing_and_is_chosen_no_longer(found: dict[str, Any]) -> None:
    assert (found["left"], found["chosen_after"]) == (False, "")


def test_nothing_is_printed_by_a_panel_that_fails_to_draw(found: dict[str, Any]) -> None:
    assert "Traceback" not in found["log"]
    assert "Error" not in found["log"]
