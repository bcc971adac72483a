# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of a batch's lines when all of them are through: actions by Blender, and previews by a farm."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..performance import FacescriptError
from .flamenco import Farm
from .journal import Journal
from .parts import (
    Blender,
    Part,
    Work,
    blend_of,
    due_actions,
    due_previews,
    empty_actions,
    faces_digest,
    partial_blend,
    partial_blends,
)
from .settings import Settings
from .sheet import Row

# Parts that one Blender writes, after which a new one is started.
_PARTS_A_BLENDER = 20


def write_actions(rows: Sequence[Row], journal: Journal, folder: Path, settings: Settings, blender: Blender) -> None:
    """Write the parts of actions that are due, and remove those of which no line is in the sheet any more. The folder's
    lock has to be held. Raises FacescriptError: `no_file`, and what `blender` raises."""
    for left in partial_blends(folder):
        # They take room, and are in nobody's way.
        with suppress(OSError):
            left.unlink()
    # Read before Blender does: faces that change meanwhile are due again.
    due = due_actions(rows, journal, folder, faces_digest(settings))
    for done, part in enumerate(_written(due, folder, settings, blender), start=1):
        journal.say(part.name, lines=part.said)
        print(f"Actions: {part.name}.blend, {done} of {len(due)}", flush=True)
    for name in empty_actions(rows, journal):
        with _changing(blend_of(folder, name)) as path:
            path.unlink(missing_ok=True)
        journal.say(name, lines={})
        print(f"Actions: {name}.blend is removed: none of its lines is in the sheet any more", flush=True)


def _written(due: Sequence[Part], folder: Path, settings: Settings, blender: Blender) -> Iterator[Part]:
    run = secrets.token_hex(4)
    for start in range(0, len(due), _PARTS_A_BLENDER):
        some = {part.name: part for part in due[start : start + _PARTS_A_BLENDER]}
        partial = {name: partial_blend(folder, name, run) for name in some}
        for name in blender(Work.of(settings, parts=[(part, partial[part.name]) for part in some.values()])):
            # By the process that holds the lock, not by a Blender that may outlive it.
            with _changing(blend_of(folder, name)) as path:
                os.replace(partial[name], path)
            yield some[name]


def send_previews(rows: Sequence[Row], journal: Journal, folder: Path, settings: Settings, farm: Farm) -> None:
    """Hand over the lines that look otherwise than when they were handed over. Raises FacescriptError: `no_file`, and
    what `farm` raises."""
    for part in due_previews(rows, journal, folder, faces_digest(settings)):
        job = farm.submit(part, folder, settings)
        journal.say(part.name, lines=part.said, job=job)
        print(f"Previews: {part.name} is job {job}", flush=True)


@contextmanager
def _changing(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        what = f"Cannot write {path}: {error.strerror}."
        raise FacescriptError("no_file", what, "Make room, or name another folder.") from error
