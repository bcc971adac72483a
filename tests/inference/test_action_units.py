# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes of action units in words."""

from __future__ import annotations

import pytest
from facescript.inference.action_units import spelled_out
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("AU4 + AU7", "brows drawn down and together, lids tightened in a squint"),
        ("AU6 + AU12, intensity D", "cheeks raised, both mouth corners pulled up in a smile, strong"),
        ("AU12, left side only", "left mouth corner pulled up in a smile"),
        ("AU2 unilateral, right", "outer end of the right brow raised"),
        ("AU46R", "only the right eye closed in a wink"),
        ("LAU12 with AU 24", "left mouth corner pulled up in a smile, lips pressed together"),
        ("AU1B + AU15E", "inner brows raised, slight, mouth corners pulled down, as far as it goes"),
        ("AU43, held", "both eyes closed, held"),
        # There is no such unit.
        ("AU99", "AU99"),
    ],
)
def test_codes_become_words(text: str, words: str) -> None:
    assert spelled_out(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Brows knit, lips press.",
        "The Australian AUD fell.",
        # It says by itself what the codes mean.
        "Strong AU12 with AU6: the corners go up far and the cheeks bunch under the eyes.",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert spelled_out(text) == text


@given(st.text(max_size=80))
def test_any_text_is_taken(text: str) -> None:
    assert isinstance(spelled_out(text), str)
