# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written for one line: files that are whole or not there, each in the place of an older one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..performance import FacescriptError, Performance, jsonl, live_link
from ..performance.saving import saved
from ..rig_mapping import curves, styles
from .settings import Kind, Settings
from .sheet import Row

_SUFFIXES: dict[Kind, str] = {"livelink": ".csv", "jsonl": ".jsonl"}


def paths(folder: Path, row: Row, settings: Settings) -> list[Path]:
    """The files of a row, which actions are none of: many lines share a .blend."""
    return [path(folder, row, kind) for kind in settings.kinds if kind in _SUFFIXES]


def path(folder: Path, row: Row, kind: Kind) -> Path:
    """One file of a row."""
    return folder / f"{row.file}{_SUFFIXES[kind]}"


def write(folder: Path, row: Row, performance: Performance, settings: Settings) -> None:
    """Write a row's files. Raises FacescriptError: `no_file`, and `bad_frame` for a performance that is too long."""
    try:
        (folder / row.file).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"Cannot make the folder of {row.file}: {error.strerror}."
        raise FacescriptError("no_file", what, "Name another folder.") from error
    if "livelink" in settings.kinds:
        made = curves.channel_curves(performance, settings.fps, 0, styles.get(settings.style))
        values = curves.sample(made, np.arange(made.start, made.end + 1))
        live_link.write(path(folder, row, "livelink"), values, settings.fps, angles=settings.angles)
    if "jsonl" in settings.kinds:
        entry = jsonl.performance_to_dict(performance)
        character = {"character": row.character} if row.character else {}
        with saved(path(folder, row, "jsonl")) as stream:
            stream.write(jsonl.to_line(character | entry))
