# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from facescript.performance import FacescriptError, forms


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Timecode,BlendShapeCount,JawOpen\n", "CSV"),
        ("\ufeffTimecode;BlendshapeCount\n", "CSV"),
        ('{"response":"{\\"Keyframe_one\\":{\\"EyeBlinkLeft\\":0.0}}"}\n', "ANSWERS"),
        ('Here it is:\n```json\n{"Keyframe_one": {"JawOpen": 0.1}}\n```', "ANSWERS"),
        ('[{"JawOpen": 0.1}]', "ANSWERS"),
        ('{"script": "Hi.", "keyframes": [{"t": 0, "text": "jawOpen", "pose": {"jawOpen": 0.1}}]}', "LINES"),
        ('{"script": "Keyframe One: he smiles", "keyframes": []}', "LINES"),
        ("", "LINES"),
        ("hello", "LINES"),
    ],
)
def test_the_form_of_a_file_is_told_by_its_content(tmp_path: Path, text: str, form: str) -> None:
    path = tmp_path / "file.dat"
    path.write_text(text, encoding="utf-8")
    assert forms.form_of(path) == form


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FacescriptError, match="Cannot read"):
        forms.form_of(tmp_path / "none")
