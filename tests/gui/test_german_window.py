# SPDX-License-Identifier: GPL-3.0-or-later
"""A windowed Blender in German: every panel draws, in pictures that are kept to be looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import windowed
from scenes import ENTRY


def _performance(folder: Path) -> str:
    path = folder / "smirk.jsonl"
    path.write_text(json.dumps(ENTRY))
    return str(path)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    note = "3 beats, 9 keys on 4 F-curves."
    return windowed.happened(tmp_path_factory, "german_in_window.py", performance=_performance, note=note)


pytestmark = [pytest.mark.window, pytest.mark.slow]


def test_every_panel_draws_in_german(found: dict[str, Any]) -> None:
    assert found["note"] == "3 Beats, 9 Schlüsselbilder auf 4 F-Kurven."
    assert "Traceback" not in found["log"]
    assert "Error" not in found["log"]
