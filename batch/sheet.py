# SPDX-License-Identifier: GPL-3.0-or-later
"""The sheet of a batch: CSV or JSON lines, a line to perform in each row, read strictly before any work.

CSV has a header with the columns' names and is parted by commas, semicolons or tabs; JSON lines have an object a line.
Both have the columns of `COLUMNS`, in any order; only `file` and `script` are needed. What spreadsheets do to empty
cells - rows that end early, columns without a name - is understood.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from ..inference.options import MAX_SEED
from ..performance import Brief, FacescriptError
from ..performance.model import MAX_SCRIPT, MAX_TEXT
from ..performance.parsing import is_whole, parse_object, read_text

COLUMNS = ("file", "character", "script", "background", "emotion", "seed")
_NEEDED = ("file", "script")
_DELIMITERS = (",", ";", "\t")
# A first line by which spreadsheets are told the separator; they do not count it as a row.
_SEPARATOR = re.compile(r"sep=([,;\t])(?:\r\n|\r|\n)", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r")
# Spreadsheets may write a number with decimals.
_SEED = re.compile(r"([0-9]{1,10})(?:[.,]0+)?")

MAX_BYTES = 64 << 20
# Ten nights of ten thousand.
MAX_ROWS = 100_000
MAX_FILE = 180
_LIMITS = {"script": MAX_SCRIPT, "background": MAX_TEXT, "emotion": MAX_TEXT, "character": 100, "file": MAX_FILE}
# Bytes of one part of a path on Linux, macOS and Windows, less the longest ending that is put to it.
_MAX_PART = 255 - len(".jsonl.partial")

# Naming Files, Paths, and Namespaces (learn.microsoft.com), superscript digits included. Windows passes over blanks
# before the first point.
_WINDOWS = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)
_UNSAFE = re.compile(r'[<>:"|?*\\]')
# What a batch's own files end with; a folder of such a name could be in a file's way.
_ENDINGS = (".csv", ".jsonl", ".blend", ".mp4", ".partial", ".lock")
# The journal is batch.jsonl.
_OURS = "batch"


@dataclass(frozen=True)
class Row:
    """One line to perform. `number` is its row as a spreadsheet counts them, or its line in a file of JSON lines;
    `file` the path of what is written, below the folder of the batch and without an ending; `seed` None is the batch's
    own."""

    number: int
    file: str
    script: str
    background: str = ""
    emotion: str = ""
    character: str = ""
    seed: int | None = None

    @property
    def brief(self) -> Brief:
        """What is asked of the model."""
        return Brief(self.script, self.background, self.emotion, self.file)

    @cached_property
    def digest(self) -> str:
        """The sha256 of all that the row says, wherever it stands in the sheet."""
        said = [self.file, self.script, self.background, self.emotion, self.character, self.seed]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def read(path: Path) -> list[Row]:
    """The rows of a sheet, in order; what is wrong is named by its row.

    Raises FacescriptError: `no_file`, `large_file`, `bad_text`; `bad_sheet` for unknown, doubled or missing columns,
    cells of the wrong kind, and names of files that are unsafe or used twice.
    """
    text = read_text(path, MAX_BYTES)
    cells = _json_lines(text) if text.lstrip().startswith("{") else _csv(text)
    rows: list[Row] = []
    names: dict[str, int] = {}
    try:
        for number, entry in cells:
            if len(rows) == MAX_ROWS:
                raise _bad(number, f"a sheet has at most {MAX_ROWS:,} lines", "Split it.")
            rows.append(_row(number, entry))
            # One file on disks that do not tell cases, or two spellings of an accent, apart.
            name = unicodedata.normalize("NFC", rows[-1].file).casefold()
            if name in names:
                raise _bad(number, f"the file {rows[-1].file!r} is that of row {names[name]} already", "Name another.")
            names[name] = number
    except FacescriptError as error:
        raise FacescriptError(error.code, f"{path}, {error.message}", error.hint) from error
    if not rows:
        raise FacescriptError("bad_sheet", f"{path} holds no lines.", f"Its columns are {', '.join(COLUMNS)}.")
    return rows


def _json_lines(text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                entry = parse_object(line, 100)
            except FacescriptError as error:
                raise _bad(number, error.message.rstrip("."), error.hint) from error
            _check_columns(number, list(entry))
            yield number, entry


def _csv(text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    said = _SEPARATOR.match(text)
    text = text[said.end() :] if said else text
    delimiter = said[1] if said else _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip().lower() for cell in cells]
                _check_columns(number, [name for name in header if name])
                continue
            yield number, _named(number, header, cells)
    except csv.Error as error:
        raise _bad(number + 1, f"this is not CSV ({error})", "Save the sheet again, as CSV in UTF-8.") from error


def _named(number: int, header: Sequence[str], cells: Sequence[str]) -> Mapping[str, object]:
    """A row's cells by their columns: those that it ends before are empty, and so is all that has no column."""
    for name in _NEEDED:
        if header.index(name) >= len(cells):
            what = f"the row ends after {len(cells)} of {len(header)} cells, before its {name!r}"
            raise _bad(number, what, "Fill it in, and put a text of several lines in quotes.")
    pairs = list(zip_longest(header, cells, fillvalue=""))
    for name, cell in pairs:
        if not name and cell.strip():
            hint = "Put a text that holds the separator in quotes, or give the column its name."
            raise _bad(number, f"the cell {cell.strip()[:40]!r} is in a column without a name", hint)
    return {name: cell for name, cell in pairs if name}


def _delimiter(text: str) -> str:
    """The separator by which most of the first row are names of columns."""

    def known(delimiter: str) -> int:
        try:
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        except csv.Error:
            return 0
        return sum(cell.strip().lower() in COLUMNS for cell in cells)

    return max(_DELIMITERS, key=known)


def _check_columns(number: int, names: Sequence[str]) -> None:
    for name in names:
        if name not in COLUMNS:
            raise _bad(number, f"there is no column {name[:40]!r}", f"The columns are {', '.join(COLUMNS)}.")
        if names.count(name) > 1:
            raise _bad(number, f"the column {name!r} is there twice", "Leave one out.")
    for name in _NEEDED:
        if name not in names:
            raise _bad(number, f"the column {name!r} is missing", f"The columns are {', '.join(COLUMNS)}.")


def _row(number: int, entry: Mapping[str, object]) -> Row:
    texts = {name: _text(number, name, entry.get(name, "")) for name in _LIMITS}
    texts["file"] = texts["file"].strip()
    if why := _unsafe(texts["file"]):
        hint = "Write a path below the batch's folder, as act1/anna_001."
        raise _bad(number, f"the file {texts['file']!r} {why}", hint)
    if not texts["script"].strip():
        raise _bad(number, "the script is empty", "Write what is performed, or leave the row out.")
    return Row(number, **texts, seed=_seed(number, entry.get("seed")))


def _text(number: int, name: str, value: object) -> str:
    if value is None and name not in _NEEDED:
        return ""
    if not isinstance(value, str):
        raise _bad(number, f"{name!r} is {_kind(value)}, not a text")
    if len(value) > _LIMITS[name]:
        raise _bad(number, f"{name!r} has {len(value)} characters; the limit is {_LIMITS[name]}", "Shorten it.")
    if not is_whole(value):
        raise _bad(number, f"{name!r} holds half a character (a lone surrogate) or a NUL")
    # Another system's line ends make no other row, which would be performed again.
    return _LINE_END.sub("\n", value)


def _seed(number: int, value: object) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    seed = _whole(value)
    if seed is None or not 0 <= seed <= MAX_SEED:
        said = repr(value[:20]) if isinstance(value, str) else json.dumps(value)[:20]
        raise _bad(number, f"the seed {said} is no whole number from 0 to {MAX_SEED}")
    return seed


def _whole(value: object) -> int | None:
    """A whole number, also where it is written with decimals or as a text; None for anything else."""
    if isinstance(value, str):
        found = _SEED.fullmatch(value.strip())
        return int(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1:
        return None
    return int(value)


def _kind(value: object) -> str:
    """What a value of JSON is, other than a text."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "a number" if isinstance(value, (int, float)) else "a list" if isinstance(value, list) else "an object"


def _unsafe(file: str) -> str:
    """Why no file is written to a path, or ""."""
    if not file:
        return "is empty"
    if not file.isprintable() or _UNSAFE.search(file):
        return "holds a character that not every system has in names"
    if file.casefold() == _OURS:
        return "would be the batch's own journal"
    return next((why for part in file.split("/") if (why := _unsafe_part(part))), "")


def _unsafe_part(part: str) -> str:
    if part in ("", ".", ".."):
        return "is no path below a folder"
    if part.startswith(".") or part != part.strip() or part.endswith("."):
        return "has a name that begins or ends with a point or a blank"
    if _WINDOWS.fullmatch(part):
        return "has a name that Windows keeps for itself"
    if part.lower().endswith(_ENDINGS):
        return "has an ending of the batch's own files"
    if len(part.encode()) > _MAX_PART:
        return "has a name that is too long"
    return ""


def _bad(number: int, what: str, hint: str = "") -> FacescriptError:
    return FacescriptError("bad_sheet", f"row {number}: {what}.", hint or "Correct that row.")
