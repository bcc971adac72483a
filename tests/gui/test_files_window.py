# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording's way into a windowed Blender with the built zip."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import windowed
from facescript.performance import INDEX, live_link

pytestmark = [pytest.mark.window, pytest.mark.slow]


def _recording(folder: Path) -> str:
    values = np.zeros((120, 61))
    values[:, INDEX["jawOpen"]] = 0.5 - 0.5 * np.cos(np.arange(120) / 6.0)
    values[60:, INDEX["mouthSmileLeft"]] = 0.8
    live_link.write(folder / "take.csv", values, 60.0)
    return str(folder / "take.csv")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in the window."""
    return windowed.happened(tmp_path_factory, "files_in_window.py", recording=_recording)


def test_the_file_browser_asks_for_the_file(found: dict[str, Any]) -> None:
    assert found["browser"] == "FACESCRIPT_OT_import_performance"


def test_a_dropped_recording_asks_for_its_settings_and_is_keyed(found: dict[str, Any]) -> None:
    assert found["droppable"]
    assert found["keys"] > 10
    # 119 frames of 60 a second at 24, from the frame at which the face is to begin.
    assert found["start"] == pytest.approx([5.0, 52.6], abs=1e-3)
    assert re.search(r"none off by more than 0\.0[01]\d|none off by more than 0\.020", found["note"])


def test_one_undo_takes_it_back(found: dict[str, Any]) -> None:
    assert found["undone"] == 0 and found["redone"] == found["keys"]


def test_it_comes_in_as_beats_instead(found: dict[str, Any]) -> None:
    assert found["beats"] >= 3
