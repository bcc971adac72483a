# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written for one line: files that are whole or not there, each in the place of an older one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..performance import FacescriptError, Performance, jsonl, live_link
from ..performance.saving import saved
from ..rig_mapping import curves, styles
from .journal import LOCK, NAME
from .parts import blends
from .settings import Kind, Settings
from .sheet import Row

# What a disk says that takes no file of any name.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

_SUFFIXES: dict[Kind, str] = {"livelink": ".csv", "jsonl": ".jsonl"}


def paths(folder: Path, row: Row, settings: Settings) -> list[Path]:
    """The files of a row, which actions are none of: many lines share a .blend."""
    return [path(folder, row, kind) for kind in settings.kinds if kind in _SUFFIXES]


def path(folder: Path, row: Row, kind: Kind) -> Path:
    """One file of a row."""
    return folder / f"{row.file}{_SUFFIXES[kind]}"


def are_there(folder: Path, row: Row, settings: Settings) -> bool:
    """Whether a row has its files, with something in them: what is empty was emptied after it was written."""
    return all(file.is_file() and file.stat().st_size for file in paths(folder, row, settings))


def check(folder: Path, rows: Sequence[Row], settings: Settings, sheet: Path) -> None:
    """Raise FacescriptError (`bad_option`) where something that is written would take the place of the sheet, or of
    the file with the faces."""
    read = {_identity(sheet): f"the sheet {sheet}"}
    if settings.blend:
        read[_identity(settings.blend)] = f"the faces of {settings.blend}"
    for written, whose in _written(folder, rows, settings):
        found = _identity(written)
        if found and found in read:
            what = f"{whose} would take the place of {read[found]}."
            raise FacescriptError("bad_option", what, "Name another folder, or move that file out of it.")


def _written(folder: Path, rows: Sequence[Row], settings: Settings) -> Iterator[tuple[Path, str]]:
    """All that a batch may write, each with what it is."""
    yield folder / NAME, f"The journal {NAME}"
    yield folder / LOCK, f"The lock {LOCK}"
    for row in rows:
        for found in paths(folder, row, settings):
            yield found, f"Row {row.number}, {row.file}: its file"
    for blend in blends(folder) if "actions" in settings.kinds else ():
        yield blend, f"The actions {blend.name}"


def _identity(path: Path | str) -> tuple[int, int] | None:
    """What a file has under each of its names, by links and in other cases; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # Some network disks number no files.
    return (found.st_dev, found.st_ino) if found.st_ino else None


def look(folder: Path, row: Row) -> None:
    """See that nothing is in the way of a row's files, before the long part of the work.

    Raises FacescriptError (`bad_path`) for what is the row's own; what concerns all rows, `write` meets.
    """
    parent = (folder / row.file).parent
    while parent != folder and not os.path.exists(parent):
        parent = parent.parent
    if parent != folder and not (os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK)):
        raise _in_the_way(f"Nothing can be written below {parent}, where the files of {row.file} go.")


def write(folder: Path, row: Row, performance: Performance, settings: Settings) -> None:
    """Write a row's files. Raises FacescriptError: `no_file` if no row's can be written, `bad_path` if only this row's
    cannot, and `bad_frame` for a performance that is too long."""
    try:
        _write(folder, row, performance, settings)
    except FacescriptError as error:
        if error.code == "no_file" and not _is_of_all(folder, error.__cause__):
            raise _in_the_way(error.message) from error
        raise


def _in_the_way(what: str) -> FacescriptError:
    return FacescriptError("bad_path", what, "Give the row another file, or clear the way.")


def _is_of_all(folder: Path, cause: BaseException | None) -> bool:
    """Whether what one row met is met by all: a disk without room, or a folder that takes no files."""
    if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
        return True
    try:
        with tempfile.TemporaryFile(dir=folder):
            return False
    except OSError:
        return True


def _write(folder: Path, row: Row, performance: Performance, settings: Settings) -> None:
    try:
        (folder / row.file).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"Cannot make the folder of {row.file}: {error.strerror}."
        raise FacescriptError("no_file", what, "Name another folder.") from error
    if "livelink" in settings.kinds:
        made = curves.channel_curves(performance, settings.fps, 0, styles.get(settings.style))
        # From time 0 and not from the first beat: some readers count rows, others go by timecodes, and both are to find
        # each beat where the JSON line and the action have it. As in the action, the first pose is there until then.
        values = curves.sample(made, np.arange(made.end + 1))
        live_link.write(path(folder, row, "livelink"), values, settings.fps, angles=settings.angles)
    if "jsonl" in settings.kinds:
        entry = jsonl.performance_to_dict(performance)
        character = {"character": row.character} if row.character else {}
        with saved(path(folder, row, "jsonl")) as stream:
            stream.write(jsonl.to_line(character | entry))
