# SPDX-License-Identifier: GPL-3.0-or-later
"""Live Link Face CSV, as Epic's app records it and Unreal's MetaHuman tools and KeyframeFace's converter read it.

The header is `Timecode,BlendshapeCount` and the 61 channels in PascalCase; each row is one frame:
`HH:MM:SS:FF.fff` (the fraction is a thousandth of a frame), `61`, and the values.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .channels import CHANNELS, COUNT, INDEX
from .errors import FacescriptError
from .pose import Array, Pose

MAX_ROWS = 2_000_000
_TIMECODE = re.compile(r"(\d{1,3}):(\d{2}):(\d{2})[:;](\d{1,3})(?:\.(\d{1,6}))?")


@dataclass(frozen=True)
class Recording:
    """Dense poses: `values` of shape (frames, 61) in the channels' ranges, at `times` seconds, shape (frames,).

    Times start at 0 and rise; `fps` is the frame rate that the timecodes were read at, in frames a second.
    """

    times: Array
    values: Array
    fps: float


def write(path: Path, values: Array, fps: float, *, start_frame: int = 0) -> None:
    """Write one row a frame. `values` has shape (frames, 61); frame 0 gets the timecode of `start_frame`.

    Frame rates that are not whole (29.97) count frames at the next whole rate, without drop-frame. Raises
    FacescriptError if a value is out of range, or if the file cannot be written.
    """
    rows = [Pose(row).values for row in values]
    try:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["Timecode", "BlendshapeCount", *(c.pascal for c in CHANNELS)])
            for number, row in enumerate(rows):
                writer.writerow([_timecode(start_frame + number, fps), COUNT, *(f"{v + 0.0:.6f}" for v in row)])
    except OSError as error:
        raise FacescriptError("no_file", f"Cannot write {path}: {error.strerror}.", "Choose another folder.") from error


def _timecode(frame: int, fps: float) -> str:
    rate = max(1, math.ceil(fps - 1e-6))
    seconds, frames = divmod(frame, rate)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}.000"


def read(path: Path, fps: float | None = None) -> Recording:
    """Read a recording; columns may stand in any order, and columns that are not channels are ignored.

    Without `fps` the rate is guessed from the highest frame number in the timecodes: the next of 24, 25, 30, 50,
    60, 120. Missing channels are 0. Raises FacescriptError (`bad_csv`) that names the line for a file without
    channels, a bad timecode, and values that are missing, not finite or out of range.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(_bounded(csv.reader(stream)))
    except OSError as error:
        raise FacescriptError("no_file", f"Cannot read {path}: {error.strerror}.", "Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FacescriptError("bad_csv", f"{path} is not CSV text: {error}.") from error
    if not rows:
        raise FacescriptError("bad_csv", f"{path} is empty.", "Choose a Live Link Face recording.")
    columns = _columns(path, rows[0])
    codes, values = [], np.zeros((len(rows) - 1, COUNT))
    for number, row in enumerate(rows[1:], start=2):
        codes.append(_parse_timecode(path, number, row[0] if row else ""))
        for column, index in columns.items():
            values[number - 2, index] = _value(path, number, row, column)
        try:
            Pose(values[number - 2])
        except FacescriptError as error:
            raise FacescriptError("bad_csv", f"{path}, line {number}: {error.message}", error.hint) from error
    rate = fps or _guess_fps(codes)
    times = np.array([s + f / rate for s, f in codes])
    times = times - times[:1]
    if (np.diff(times) <= 0).any():
        line = int(np.flatnonzero(np.diff(times) <= 0)[0]) + 3
        raise FacescriptError("bad_csv", f"{path}, line {line}: the timecode does not rise.", "Check the frame rate.")
    return Recording(times, values, rate)


def _bounded(rows):  # type: ignore[no-untyped-def]
    for number, row in enumerate(rows):
        if number > MAX_ROWS:
            raise FacescriptError("bad_csv", f"The file has more than {MAX_ROWS} rows.", "Split the recording.")
        if row:
            yield row


def _columns(path: Path, header: Sequence[str]) -> dict[int, int]:
    names = {name.lower(): index for name, index in INDEX.items()}
    found: dict[int, int] = {}
    for column, title in enumerate(header):
        index = names.get(title.strip().lower())
        if index is None:
            continue
        if index in found.values():
            raise FacescriptError("bad_csv", f"{path} has the column {title.strip()} twice.")
        found[column] = index
    if not found or header[0].strip().lower() != "timecode":
        raise FacescriptError(
            "bad_csv", f"{path} is not a Live Link Face recording.", "Its header starts with Timecode,BlendshapeCount."
        )
    return found


def _parse_timecode(path: Path, line: int, text: str) -> tuple[int, float]:
    match = _TIMECODE.fullmatch(text.strip())
    if not match:
        raise FacescriptError(
            "bad_csv", f"{path}, line {line}: {text[:40]!r} is not a timecode.", "Expected HH:MM:SS:FF.fff."
        )
    hours, minutes, seconds, frames = (int(part) for part in match.groups()[:4])
    return hours * 3600 + minutes * 60 + seconds, frames + float(f"0.{match[5] or 0}")


def _value(path: Path, line: int, row: Sequence[str], column: int) -> float:
    try:
        return float(row[column])
    except (IndexError, ValueError):
        raise FacescriptError("bad_csv", f"{path}, line {line}: column {column + 1} is not a number.") from None


def _guess_fps(codes: Sequence[tuple[int, float]]) -> float:
    highest = max((frame for _, frame in codes), default=0.0)
    return float(next((rate for rate in (24, 25, 30, 50, 60, 120) if highest < rate), math.ceil(highest + 1)))
