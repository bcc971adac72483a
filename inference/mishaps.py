# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be told of an error that nobody thought of: its kind and its place, and nothing of the script.

What an error says may have a text of the user's in it. It goes to the console only where that is asked for: where the
environment has `FACESCRIPT_DEBUG`.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path

DEBUG = "FACESCRIPT_DEBUG"
_PACKAGE = Path(__file__).resolve().parent.parent


def place(error: BaseException) -> str:
    """The kind of an error and the line of this project that it came from, such as `KeyError, engine.py line 12`."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if _PACKAGE in Path(frame.filename).resolve().parents]
    where = f", {Path(mine[-1].filename).name} line {mine[-1].lineno}" if mine else ""
    return f"{type(error).__name__}{where}"


def trace(error: BaseException) -> str:
    """The way that an error came, for the console."""
    if DEBUG in os.environ:
        return "".join(traceback.format_exception(error))
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
