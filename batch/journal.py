# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a batch, `batch.jsonl` in its folder: what is done, one line each, appended and on the disk at once.

Its first line has the settings and their sha256; each other one a row of the sheet, with its sha256, that was finished
or failed, or a part of the actions or a job of a render farm, with the lines in it. A row's files are whole before its
line is written, so whatever ends a batch, and whenever, what the journal says is there. Of several lines on one file
the last one counts. A last line that was cut off, as by a power cut, is taken away; anything else that cannot be read
is an error.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ..performance import FacescriptError
from ..performance.parsing import open_regular, parse_object, printable
from ..performance.saving import saved
from .settings import Settings, differences, digest_of
from .sheet import Row

NAME, LOCK = "batch.jsonl", "batch.lock"
FORM = 1
# A line has an error's words, or the names of a part's lines with their digests, at most.
_MAX_LINE = 1 << 18
# Runs of the command in which a row is tried again that failed for a reason that passes.
MAX_RUNS = 3
# What a lock that somebody else holds is refused with, by POSIX and by Windows.
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@dataclass(frozen=True)
class Entry:
    """The last that is known of a row: its digest, whether it is done, else in how many runs it failed and whether the
    reason may pass."""

    digest: str
    done: bool
    runs: int = 0
    passes: bool = False

    @property
    def due(self) -> bool:
        """Whether another run tries it without being asked to."""
        return not self.done and self.passes and self.runs < MAX_RUNS


class Journal:
    """An open journal; use it in a `with` block."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Read what is there, or begin. Raises FacescriptError: `no_file`; `bad_journal` for one that cannot be read,
        `other_settings` for one of a batch that was made with others."""
        self._path = path
        self._rows: dict[str, Entry] = {}
        self._parts: dict[str, Mapping[str, Any]] = {}
        if not path.exists() or not path.stat().st_size:
            entry = settings.to_dict()
            with saved(path) as stream:
                stream.write(_line({"batch": FORM, "settings": entry, "sha256": digest_of(entry)}))
        end = self._read(settings)
        self._stream = _opened(path, end)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    def entry(self, row: Row) -> Entry | None:
        """What is known of a row as it stands in the sheet now."""
        found = self._rows.get(row.file)
        return found if found and found.digest == row.digest else None

    def parts(self, kind: str) -> dict[int, Mapping[str, str]]:
        """By the number in its name, what was said last of the `lines` of each part of a kind: digests by files."""
        found = [(name.rpartition("_"), said.get("lines", {})) for name, said in self._parts.items()]
        return {int(number): lines for (of, _, number), lines in found if of == kind and number.isdecimal()}

    def done(self, row: Row, label: str, keyframes: int, seconds: float) -> None:
        """Say that a row's files are there. Raises FacescriptError (`no_file`)."""
        self._rows[row.file] = Entry(row.digest, True)
        said = {"model": label, "keyframes": keyframes, "seconds": round(seconds, 3)}
        self._append({"file": row.file, "row": row.digest, "state": "done", **said})

    def failed(self, row: Row, error: FacescriptError, passes: bool) -> None:
        """Say that a row failed, and why. Raises FacescriptError (`no_file`)."""
        before = self.entry(row)
        runs = 1 + (before.runs if before else 0)
        self._rows[row.file] = Entry(row.digest, False, runs, passes)
        words = {"code": error.code, "error": printable(str(error))[:2000]}
        self._append({"file": row.file, "row": row.digest, "state": "failed", **words, "passes": passes, "runs": runs})

    def say(self, name: str, **fields: Any) -> None:
        """Say something of a part or a job. Raises FacescriptError (`no_file`)."""
        self._parts[name] = fields
        self._append({"part": name, **fields})

    def _append(self, entry: Mapping[str, Any]) -> None:
        end = self._stream.seek(0, os.SEEK_END)
        try:
            line = memoryview(_line(entry).encode())
            while line:
                line = line[self._stream.write(line) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            # What is there of it would stand in the next line's way.
            with suppress(OSError):
                self._stream.truncate(end)
            raise _cannot_write(self._path, error) from error

    def _read(self, settings: Settings) -> int:
        """Take in all lines; where the last whole one ends."""
        end = 0
        with open_regular(self._path) as stream:
            for number, (line, is_last) in enumerate(_with_last(stream), start=1):
                try:
                    if not line.endswith(b"\n"):
                        raise FacescriptError("bad_json", "The line has no end.")
                    entry = parse_object(line)
                    self._take(entry, number, settings)
                except FacescriptError as error:
                    if error.code == "bad_json" and is_last and number > 1:
                        return end
                    if error.code != "bad_json":
                        raise
                    raise _damaged(self._path, number) from error
                end += len(line)
        return end

    def _take(self, entry: Mapping[str, Any], number: int, settings: Settings) -> None:
        if number == 1:
            self._check(entry, settings)
        elif isinstance(name := entry.get("part"), str):
            lines = entry.get("lines", {})
            if not (isinstance(lines, dict) and all(isinstance(digest, str) for digest in lines.values())):
                raise _damaged(self._path, number)
            self._parts[name] = entry
        else:
            file, digest, state = entry.get("file"), entry.get("row"), entry.get("state")
            runs, passes = entry.get("runs", 0), entry.get("passes", False)
            if not (isinstance(file, str) and isinstance(digest, str) and state in ("done", "failed")):
                raise _damaged(self._path, number)
            if not (isinstance(runs, int) and isinstance(passes, bool)):
                raise _damaged(self._path, number)
            self._rows[file] = Entry(digest, state == "done", runs, passes)

    def _check(self, entry: Mapping[str, Any], settings: Settings) -> None:
        old = entry.get("settings")
        if entry.get("batch") != FORM or not isinstance(old, dict) or digest_of(old) != entry.get("sha256"):
            raise _damaged(self._path, 1)
        if digest_of(old) != settings.digest:
            what = f"The batch in {self._path.parent} was begun with other settings: "
            raise FacescriptError(
                "other_settings",
                f"{what}{differences(old, settings.to_dict())}.",
                "Give those again, name another folder, or begin anew with --anew.",
            )


def begin_anew(path: Path) -> None:
    """Remove a journal, if there is one. Raises FacescriptError (`no_file`)."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        what = f"Cannot remove {path}: {error.strerror}."
        raise FacescriptError("no_file", what, "Remove it yourself, or name another folder.") from error


def _opened(path: Path, end: int) -> FileIO:
    try:
        # Without a buffer, in which the rest of a line would wait for which there was no room.
        stream = path.open("r+b", buffering=0)
        if stream.seek(0, os.SEEK_END) > end:
            # A last line that was cut off.
            stream.truncate(end)
        return stream
    except OSError as error:
        raise _cannot_write(path, error) from error


def _with_last(stream: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    line = stream.readline(_MAX_LINE)
    while line:
        after = stream.readline(_MAX_LINE)
        yield line, not after
        line = after


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"


def _damaged(path: Path, number: int) -> FacescriptError:
    what = f"{path}, line {number}: this is no line of a batch's journal."
    return FacescriptError("bad_journal", what, "Name another folder, or begin anew with --anew.")


def _cannot_write(path: Path, error: OSError) -> FacescriptError:
    return FacescriptError("no_file", f"Cannot write {path}: {error.strerror}.", "Make room, or name another folder.")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a batch's folder, made if it is not there, for as long as the block or until this process ends, however it
    ends. Raises FacescriptError: `busy` if another batch holds it; `no_file` if it cannot be made, written or locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("a+b")
    except OSError as error:
        raise _cannot_write(folder, error) from error
    with stream:
        try:
            _lock(stream.fileno())
        except OSError as error:
            raise _not_locked(folder, error) from error
        yield


def _not_locked(folder: Path, error: OSError) -> FacescriptError:
    if error.errno in _HELD:
        what = f"Another batch is at work in {folder}."
        return FacescriptError("busy", what, "Wait until it ends, or name another folder.")
    what = f"The disk of {folder} has no locks ({error.strerror}), which keep two batches apart."
    return FacescriptError("no_file", what, "Name a folder on another disk.")


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
