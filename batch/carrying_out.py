# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch from its sheet to its last file: the rows that are open, then the actions, then the previews."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..inference.client import WorkerClient
from . import afterwards, outputs
from .crew import Crew
from .flamenco import Farm
from .journal import NAME, Journal, begin_anew, locked
from .parts import Blender, Work
from .pool import Pool, Waiting
from .progress import Progress
from .settings import Settings
from .sheet import Row, read

# Failures that are told again at the end.
_TOLD = 20
# A pause that is worth a line, in seconds.
_LONG = 10.0

End = Literal["through", "stopped", "hopeless"]


@dataclass(frozen=True)
class Batch:
    """The rows of `sheet` into `folder`. `start` starts a worker of the `crew`; `blender` writes actions; `farm`
    renders previews, if there is one; `again` is the command that goes on with the batch, for people."""

    sheet: Path
    folder: Path
    settings: Settings
    crew: Crew
    start: Callable[[], WorkerClient]
    blender: Blender
    farm: Farm | None = None
    again: str = ""
    retry_failed: bool = False
    anew: bool = False


def carry_out(batch: Batch) -> int:
    """Do what is open; 0 if all is done then, 1 if some failed or was left open, 130 if it was asked to stop.

    Raises FacescriptError before any work for a sheet that cannot be read or would be overwritten, a folder with
    another batch, faces that are not there, and a farm that does not know the job type; KeyboardInterrupt when it is
    asked to stop twice.
    """
    rows = read(batch.sheet)
    outputs.check(batch.folder, rows, batch.settings, batch.sheet)
    with locked(batch.folder), _journal(batch) as journal:
        if _chooses_faces(batch):
            list(batch.blender(Work.of(batch.settings, rows)))
        if batch.farm:
            batch.farm.check()
        due = [row for row in rows if _is_due(batch, row, journal)]
        end, told = _perform(batch, rows, due, journal)
        if end == "through":
            if "actions" in batch.settings.kinds:
                afterwards.write_actions(rows, journal, batch.folder, batch.settings, batch.blender)
            if batch.farm:
                afterwards.send_previews(rows, journal, batch.folder, batch.settings, batch.farm)
        return _summed_up(batch, rows, journal, end, told)


@contextmanager
def _journal(batch: Batch) -> Iterator[Journal]:
    # Here, and not by whoever calls: nobody else is in the folder now.
    if batch.anew:
        begin_anew(batch.folder / NAME)
    with Journal(batch.folder / NAME, batch.settings) as journal:
        yield journal


def _chooses_faces(batch: Batch) -> bool:
    """Whether the user says which faces something is made with: then they may not be there."""
    chosen = batch.settings.blend or batch.settings.face
    return bool(chosen) and ("actions" in batch.settings.kinds or batch.farm is not None)


def _is_due(batch: Batch, row: Row, journal: Journal) -> bool:
    entry = journal.entry(row)
    if entry is None or not entry.done:
        return entry is None or entry.due or batch.retry_failed
    return not outputs.are_there(batch.folder, row, batch.settings)


def _perform(batch: Batch, rows: Sequence[Row], due: Sequence[Row], journal: Journal) -> tuple[End, list[str]]:
    """Perform the rows that are due; how that ended, and the first failures in words."""
    count = min(batch.crew.count, len(due))
    settings, progress, told = batch.settings, Progress(len(due), count), list[str]()
    pool = Pool(
        batch.start,
        lambda row: outputs.look(batch.folder, row),
        lambda row, performance: outputs.write(batch.folder, row, performance, settings),
        settings.model,
        settings.seed,
        count,
    )
    end: End = "through"
    with _stopping(pool, progress) as asked:
        print(_begun(batch, len(rows), len(due), count), flush=True)
        pool.run(due)
        while (found := pool.next()) is not None:
            if isinstance(found, Waiting):
                progress.wait()
                if found.seconds >= _LONG:
                    progress.say(
                        f"{_where(found.row)}: {found.error} Tried again in {found.seconds:.0f} s.", sys.stderr
                    )
            elif found.error is None:
                journal.done(found.row, found.label, found.keyframes, found.seconds)
                pool.succeeded()
                progress.step(failed=False)
            else:
                words = f"{_where(found.row)}: {found.error}"
                progress.say(words, sys.stderr)
                if pool.judge(found):
                    journal.failed(found.row, found.error, found.passes)
                    progress.step(failed=True)
                    if len(told) < _TOLD:
                        told.append(words)
                else:
                    end = "hopeless"
    progress.end()
    return ("stopped" if asked else end), told


def _begun(batch: Batch, total: int, due: int, count: int) -> str:
    if not due:
        return f"{total:,} lines, none of them to be performed."
    before = f", {total - due:,} are through" if due < total else ""
    return f"{total:,} lines{before}; {due:,} to do on {count} worker{'s' if count > 1 else ''}."


def _where(row: Row) -> str:
    return f"row {row.number}, {row.file}"


@contextmanager
def _stopping(pool: Pool, progress: Progress) -> Iterator[list[int]]:
    """Have Ctrl C, or the system's request to end, stop the pool after the rows in hand, and a second one at once. The
    list holds what was asked for."""
    asked: list[int] = []
    words = b"\n" * progress.inline + b"Stopping after the lines in hand; Ctrl C again stops at once.\n"

    def hear(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        pool.stop()
        # Not by print, in which this may have come between.
        with suppress(OSError):
            os.write(2, words)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, hear) for number in signals]
    try:
        yield asked
    except BaseException:
        pool.halt()
        raise
    finally:
        for number, handler in zip(signals, before, strict=True):
            # None: a handler that Python did not set.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _summed_up(batch: Batch, rows: Sequence[Row], journal: Journal, end: End, told: Sequence[str]) -> int:
    """Say what is done and what is not; the exit status."""
    entries = [journal.entry(row) for row in rows]
    done = sum(entry is not None and entry.done for entry in entries)
    failed = sum(entry is not None and not entry.done for entry in entries)
    left = len(rows) - done - failed
    print(f"{done:,} of {len(rows):,} lines are done, {failed:,} failed, {left:,} are left.", flush=True)
    if failed:
        print("Failed:", *told, sep="\n  ", file=sys.stderr) if told else None
        more = failed - len(told)
        tail = f"{more:,} more are" if told and more else "They are" if more else "All are"
        print(f"{tail} in {batch.folder / NAME}. To try them again:\n  {batch.again} --retry-failed", file=sys.stderr)
    if end == "hopeless":
        print("The batch cannot go on: the last line above says why.", file=sys.stderr)
    if left:
        print(f"To go on:\n  {batch.again}", file=sys.stderr, flush=True)
    if end == "stopped":
        return 130
    return 0 if done == len(rows) else 1
