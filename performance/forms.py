# SPDX-License-Identifier: GPL-3.0-or-later
"""Which form a file of performances or recordings has, told by its content: names and endings say little."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from . import keyframeface
from .parsing import open_regular

# CSV: a Live Link Face recording. ANSWERS: KeyframeFace's. LINES: this project's JSON lines.
Form = Literal["CSV", "ANSWERS", "LINES"]

# As much of a file as tells its form: more than one line of results with its question.
_LOOK = 1 << 16


def form_of(path: Path) -> Form:
    """The form of a file; one that fits none of them is taken for JSON lines, whose errors say what is expected.

    Raises FacescriptError (`no_file`) if it cannot be read.
    """
    with open_regular(path) as stream:
        head = stream.read(_LOOK).decode("utf-8-sig", errors="replace")
    if head.lstrip().lower().startswith("timecode"):
        return "CSV"
    return "ANSWERS" if keyframeface.is_answer(head) else "LINES"
