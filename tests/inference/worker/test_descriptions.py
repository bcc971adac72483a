# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from facescript.inference.worker.prompted import repeats_itself


@pytest.mark.parametrize(
    ("line", "stuck"),
    [
        ("Gaze down, down, down, down, down.", True),
        ("The lips press, the lids drop, the lips press.", True),
        ("Wide eyes, wide mouth, wide brows, wide lips.", True),
        ("The left brow lifts, the right brow stays low, and the lips part.", False),
        ("Smirk.", False),
        ("", False),
    ],
)
def test_a_line_that_repeats_itself_is_noticed(line: str, stuck: bool) -> None:
    assert repeats_itself(line) == stuck
