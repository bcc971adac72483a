# SPDX-License-Identifier: GPL-3.0-or-later
"""A windowed Blender in German: every panel draws, in pictures that are kept to be looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import windowed
from facescript.commands.build import build
from scenes import ENTRY

SCRIPT = Path(__file__).with_name("german_in_window.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    if reason := windowed.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("window")
    performance = folder / "smirk.jsonl"
    performance.write_text(json.dumps(ENTRY))
    settings = {"zip": str(build(folder)), "performance": str(performance), "note": "3 beats, 9 keys on 4 F-curves."}
    result = windowed.run(SCRIPT, folder, settings)
    assert "error" not in result, result["error"]
    return result


pytestmark = [pytest.mark.window, pytest.mark.slow]


def test_every_panel_draws_in_german(found: dict[str, Any]) -> None:
    assert found["note"] == "3 Beats, 9 Schlüsselbilder auf 4 F-Kurven."
    assert "Traceback" not in found["log"]
    assert "Error" not in found["log"]
