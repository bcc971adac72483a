# SPDX-License-Identifier: GPL-3.0-or-later
"""Live Link Face CSV, as Epic's app records it and Unreal's MetaHuman tools and KeyframeFace's converter read it.

The header is `Timecode,BlendshapeCount` and the channels in PascalCase; each row is one frame: `HH:MM:SS:FF.fff`, how
many values follow, and the values. Columns are found by their names, so that every order is read: the app's own (the
left eye first), that of ARKit's headers and of older apps (the right eye first), with 51 shapes (no tongue), 52, or 61
columns. A recording is `SLATE_TAKE_DEVICE.csv`; one with calibration has `_cal`, `_raw` or `_neutral` at its end.
"""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from . import timecodes
from .angles import COLUMNS, AngleForm, scale, told
from .channels import BLEND_SHAPES, CHANNELS, COUNT, HIGH, INDEX, LOW
from .errors import FacescriptError
from .parsing import open_regular
from .pose import Array, Pose
from .recording import Recording
from .saving import saved
from .timecodes import Timecode

# Nine hours at 60 frames a second; a row takes some 550 bytes, and a line nowhere near this limit.
MAX_ROWS = 2_000_000
MAX_BYTES = 1 << 30
_MAX_LINE = 1 << 14
# All of a row at once: one number at a time takes ten times as long.
_NUMBERS = ",".join(["%.6f"] * COUNT)
_AGAIN = "Correct the file, or save the recording again."

# So far out of range, a value is no coefficient but something else, such as percent.
_WILD = 1.0


def write(path: Path, values: Array, fps: float, *, start_frame: float = 0, angles: AngleForm = "UNIT") -> None:
    """Write one row a frame. `values` has shape (frames, 61); the first one gets the timecode of `start_frame`, >= 0.

    Frame rates that are not whole (29.97) count frames at the next whole rate, without drop-frame. `angles`: RADIANS,
    as the app and Unreal have them, or UNIT, as KeyframeFace's converter does. Raises FacescriptError if a value is
    out of range, or if the file cannot be written.
    """
    rows = np.array([Pose(row).values for row in values])
    rows[:, COLUMNS] *= scale(angles)
    with saved(path) as stream:
        stream.write(",".join(["Timecode", "BlendshapeCount", *(c.pascal for c in CHANNELS)]) + "\n")
        for number, row in enumerate(rows):
            code = timecodes.text(start_frame + number, fps)
            # What rounds to 0 from below has no sign.
            numbers = (_NUMBERS % tuple(row)).replace("-0.000000", "0.000000")
            stream.write(f"{code},{COUNT},{numbers}\n")


def read(path: Path, fps: float | None = None, *, angles: AngleForm = "AUTO") -> Recording:
    """Read a recording; columns may stand in any order, and columns that are not channels are left out.

    Without `fps` the rate is read from the timecodes (`timecodes.counted_rate`). Values a little out of range, as
    calibration gives them, are brought into it; angles past what a pose can hold too. Left out, with a warning: rows
    without values (the face was lost), with the timecode of the row before, and a last line that is cut off. Missing
    channels are 0.
    Raises FacescriptError: `no_file`, `large_file`; `bad_csv`, which names the line, for a file without channels, a bad
    timecode, one that goes back, and values that are missing, no numbers, or far out of range.
    """
    warnings: list[str] = []
    table = _Table.read(path, warnings)
    rate, known = timecodes.counted_rate(table.codes)
    if not known and fps is None:
        warnings.append(f"Its timecodes were taken for ones of {rate} frames a second.")
    count = timecodes.exact_rate(fps or float(rate), any(code.drop for code in table.codes))
    highest = max(code.frame for code in table.codes)
    if highest >= math.ceil(count):
        raise FacescriptError(
            "bad_csv", f"{path} has a frame {highest:g}, too many for {count:g} a second.", "Set another frame rate."
        )
    clock = timecodes.seconds(table.codes, count)
    rising = _rising(path, clock, table.lines, warnings)
    clock, values = clock[rising], table.values[rising]
    form = told(values, not any(code.frame for code in table.codes)) if angles == "AUTO" else angles
    if form == "DEGREES" and angles == "AUTO":
        warnings.append("The angles were taken for degrees.")
    values[:, COLUMNS] /= scale(form)
    values = _in_range(values, warnings)
    return Recording(clock - clock[0], values, count, _row_rate(clock, count), float(clock[0]), form, tuple(warnings))


def beside(path: Path) -> Path | None:
    """The neutral recording that was made with a raw one, if it lies beside it."""
    stem = path.stem.removesuffix("_raw").removesuffix("_cal")
    found = path.with_name(f"{stem}_neutral{path.suffix}")
    return found if found != path and found.is_file() else None


@dataclass(frozen=True)
class _Table:
    """A file's rows: timecodes, values as written (rows, 61), and the line in the file that each is on."""

    codes: list[Timecode]
    values: Array
    lines: Sequence[int]

    @classmethod
    def read(cls, path: Path, warnings: list[str]) -> _Table:
        rows = _rows(path)
        try:
            return cls._read(path, rows, warnings)
        finally:
            rows.close()

    @classmethod
    def _read(cls, path: Path, rows: Iterator[tuple[int, list[str]]], warnings: list[str]) -> _Table:
        _, header = next(rows, (0, None))
        if header is None:
            raise FacescriptError("bad_csv", f"{path} is empty.", "Choose a Live Link Face recording.")
        columns = _columns(path, header, warnings)
        codes: list[Timecode] = []
        # Numbers as bytes: as lists, an hour of them would take gigabytes.
        values, lines, lost = array("d"), array("l"), 0
        counted = len(header) > 1 and header[1].strip().lower() == "blendshapecount"
        for line, row, last in _with_last(rows):
            if counted and _is_lost(row):
                lost += 1
                continue
            if last and len(row) < len(header):
                warnings.append(f"Line {line} is cut off and was left out.")
                continue
            codes.append(_code(path, line, row[0]))
            values.extend(_number(path, line, row, column, index) for column, index in columns.items())
            lines.append(line)
        if lost:
            warnings.append(f"{lost} rows have no values, as the face was not seen, and were left out.")
        if not codes:
            raise FacescriptError("bad_csv", f"{path} has no frames.", "Choose a Live Link Face recording.")
        whole = np.zeros((len(codes), COUNT))
        whole[:, list(columns.values())] = np.frombuffer(values).reshape(len(codes), len(columns))
        _check(path, whole, lines)
        return cls(codes, whole, lines)


def _rows(path: Path) -> Generator[tuple[int, list[str]], None, None]:
    """The rows that are not blank, with their lines; values by Excel in other languages (`;` and `0,5`) as well."""
    try:
        with open_regular(path, MAX_BYTES) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            head = text.readline(_MAX_LINE)
            text.seek(0)
            delimiter = max(",;\t", key=head.count)
            reader = csv.reader(_lines(text), delimiter=delimiter)
            for row in reader:
                if reader.line_num > MAX_ROWS:
                    raise FacescriptError("bad_csv", f"The file has more than {MAX_ROWS} rows.", "Split the recording.")
                if any(cell.strip() for cell in row):
                    yield reader.line_num, row if delimiter == "," else [c.replace(",", ".") for c in row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FacescriptError("bad_csv", f"{path} is not CSV text: {error}.", _AGAIN) from error


def _lines(text: TextIO) -> Iterator[str]:
    while line := text.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise csv.Error(f"a line is longer than {_MAX_LINE} characters")
        yield line


def _with_last(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str], bool]]:
    """The rows, each with whether it is the last one."""
    before = next(rows, None)
    while before is not None:
        row = next(rows, None)
        yield *before, row is None
        before = row


def _columns(path: Path, header: Sequence[str], warnings: list[str]) -> dict[int, int]:
    """Where in a row which channel is; says what is missing and what is no channel."""
    names = {name.lower(): index for name, index in INDEX.items()}
    found: dict[int, int] = {}
    others = []
    for column, title in enumerate(header):
        index = names.get(title.strip().lower())
        if index is None:
            others += [title.strip()] if column > 1 and title.strip() else []
            continue
        if index in found.values():
            raise FacescriptError("bad_csv", f"{path} has the column {title.strip()} twice.", _AGAIN)
        found[column] = index
    if not found or header[0].strip().lower() != "timecode":
        raise FacescriptError(
            "bad_csv", f"{path} is not a Live Link Face recording.", "Its header starts with Timecode,BlendshapeCount."
        )
    missing = [name for name in BLEND_SHAPES if INDEX[name] not in found.values()]
    if missing:
        warnings.append(f"Not in the file, and 0: {_listed(missing)}.")
    if not any(i in found.values() for i in COLUMNS):
        warnings.append("The file has no angles of head and eyes.")
    if others:
        warnings.append(f"No channels, and left out: {_listed(others)}.")
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _is_lost(row: Sequence[str]) -> bool:
    """Whether a row says that there are no values: the app writes 0 for their count where it does not see the face."""
    return len(row) > 1 and row[1].strip() == "0" and not any(cell.strip() for cell in row[2:])


def _code(path: Path, line: int, text: str) -> Timecode:
    code = timecodes.parse(text)
    if code is None:
        raise FacescriptError(
            "bad_csv", f"{path}, line {line}: {text[:40]!r} is not a timecode.", "Expected HH:MM:SS:FF.fff."
        )
    return code


def _number(path: Path, line: int, row: Sequence[str], column: int, index: int) -> float:
    try:
        value = float(row[column])
    except (IndexError, ValueError):
        raise FacescriptError("bad_csv", f"{path}, line {line}: column {column + 1} is not a number.", _AGAIN) from None
    # Python reads 1_0 as 10.
    if "_" in row[column]:
        raise FacescriptError("bad_csv", f"{path}, line {line}: column {column + 1} is not a number.", _AGAIN)
    if not math.isfinite(value):
        raise FacescriptError(
            "bad_csv", f"{path}, line {line}: {CHANNELS[index].name} is {value}, no finite number.", _AGAIN
        )
    return value


def _check(path: Path, values: Array, lines: Sequence[int]) -> None:
    """Raise FacescriptError (`bad_csv`) for the first blend shape that is far out of its range."""
    shapes = values[:, : len(BLEND_SHAPES)]
    wild = np.argwhere((shapes < -_WILD) | (shapes > 1.0 + _WILD))
    if wild.size:
        row, i = wild[0]
        raise FacescriptError(
            "bad_csv",
            f"{path}, line {lines[row]}: Channel {CHANNELS[i].name} is {shapes[row, i]:g}, outside [0, 1].",
            "Values are from 0 to 1; percentages have to be divided by 100.",
        )


def _rising(path: Path, clock: Array, lines: Sequence[int], warnings: list[str]) -> Array:
    """Which rows (N,) are later than the one before; equal ones are left out, and going back is an error."""
    steps = np.diff(clock)
    back = np.flatnonzero(steps < -1e-9)
    if back.size:
        line = lines[int(back[0]) + 1]
        raise FacescriptError("bad_csv", f"{path}, line {line}: the timecode goes back.", "Check the frame rate.")
    rising = np.concatenate([[True], steps > 1e-9])
    if not rising.all():
        line = lines[int(np.flatnonzero(~rising)[0])]
        warnings.append(f"{int((~rising).sum())} rows repeat a timecode, first in line {line}, and were left out.")
    return rising


def _in_range(values: Array, warnings: list[str]) -> Array:
    """The values within their channels' ranges."""
    fitting = np.clip(values, LOW, HIGH)
    off = np.abs(fitting - values).max(axis=0, initial=0.0)
    past = [CHANNELS[i].name for i in np.flatnonzero(off > 1e-3)]
    if past:
        warnings.append(f"Past their ranges in places, and brought into them: {_listed(past)}.")
    return np.asarray(fitting)


def _row_rate(clock: Array, fps: float) -> float:
    """How many rows there are a second: a share of the timecodes' `fps`, or a whole number, as far as stamps that are a
    little uneven tell."""
    if len(clock) < 2:
        return fps
    step = float(np.median(np.diff(clock))) * fps
    if abs(step - round(step)) < 0.02 * step:
        return fps / round(step)
    rate = fps / step
    return float(round(rate)) if abs(rate - round(rate)) < 0.005 * rate else rate
