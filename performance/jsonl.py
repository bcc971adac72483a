# SPDX-License-Identifier: GPL-3.0-or-later
"""Briefs and performances as JSON lines: one JSON object a line, UTF-8.

`{"id", "script", "background", "emotion"}` asks for a performance; with `"keyframes": [{"t", "text"}]` it asks
for the poses of beats that are written already; with a `"pose"` in every keyframe it is a performance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from .errors import FacescriptError
from .model import MAX_SCRIPT, MAX_TEXT, Beat, Brief, Keyframe, Performance
from .parsing import MAX_JSON_BYTES as MAX_LINE_BYTES
from .parsing import is_whole, open_regular
from .parsing import parse_object as parse_object
from .pose import Pose

# Lines of a file: as many scripts as anybody performs at once, and few enough to count within a second.
MAX_LINES = 1_000_000

_LIMITS = {"script": MAX_SCRIPT, "background": MAX_TEXT, "emotion": MAX_TEXT, "id": 200}


def read_briefs(path: Path) -> Iterator[Brief]:
    """Read what is asked for, a line at a time; errors name the file and the line."""
    yield from _read(path, brief_from_dict)


def read_performances(path: Path) -> Iterator[Performance]:
    """Read finished performances, a line at a time; errors name the file and the line."""
    yield from _read(path, performance_from_dict)


def read_described(path: Path) -> Iterator[Performance]:
    """Read performances that can be learned from: as `read_performances`, and every keyframe has a description."""
    yield from _read(path, _described)


def try_described(path: Path) -> Iterator[tuple[dict[str, object], Performance] | FacescriptError]:
    """As `read_described`, each with the object that the line holds; of a line that is wrong, its error instead."""
    yield from _tried(path, lambda entry: (entry, _described(entry)))


def _read(path: Path, parse):  # type: ignore[no-untyped-def]
    for found in _tried(path, parse):
        if isinstance(found, FacescriptError):
            raise found
        yield found


def _tried(path: Path, parse):  # type: ignore[no-untyped-def]
    with open_regular(path) as stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            try:
                if number > MAX_LINES:
                    raise FacescriptError("large_file", f"The file has more than {MAX_LINES:,} lines.", "Split it.")
                if not line.strip():
                    continue
                if len(line) > MAX_LINE_BYTES:
                    raise FacescriptError("bad_json", f"The line is longer than {MAX_LINE_BYTES >> 20} MiB.")
                yield parse(parse_object(line))
            except FacescriptError as error:
                hint = error.hint or "Correct that line; a file of JSON lines has one object in each line."
                yield FacescriptError(error.code, f"{path}, line {number}: {error.message}", hint)
                if number > MAX_LINES or len(line) > MAX_LINE_BYTES:
                    # What follows is no line, or is too much.
                    return


def brief_from_dict(entry: Mapping[str, object]) -> Brief:
    """Parse a brief; `script` may be empty only if keyframes with texts are there."""
    rows = _keyframe_rows(entry, required=False)
    beats = tuple(
        Beat(_time(row, f"Keyframe {i}: "), _text(row, "text", f"keyframe {i}: "))
        for i, row in enumerate(rows, start=1)
    )
    return replace(_header(entry), beats=beats)


def performance_from_dict(entry: Mapping[str, object]) -> Performance:
    """Parse a performance: every keyframe has `t`, `text` and `pose`."""
    keyframes = []
    for number, row in enumerate(_keyframe_rows(entry, required=True), start=1):
        pose = row.get("pose")
        if not isinstance(pose, Mapping):
            raise FacescriptError("bad_pose", f"Keyframe {number} has no pose.", "Give one as {channel: value}.")
        try:
            keyframes.append(Keyframe(_time(row), _text(row, "text"), Pose.from_dict(pose)))
        except FacescriptError as error:
            raise FacescriptError(error.code, f"Keyframe {number}: {error.message}", error.hint) from error
    return Performance(_header(entry), tuple(keyframes))


def _described(entry: Mapping[str, object]) -> Performance:
    performance = performance_from_dict(entry)
    for number, keyframe in enumerate(performance.keyframes, start=1):
        if not keyframe.text.strip():
            raise FacescriptError(
                "no_text", f"Keyframe {number} has no description.", "Say in its 'text' what the face visibly does."
            )
    return performance


def brief_to_dict(brief: Brief) -> dict[str, object]:
    """The brief as a JSON object; without keyframes if it has no beats."""
    entry: dict[str, object] = _header_dict(brief)
    if brief.beats:
        entry["keyframes"] = [{"t": round(beat.time, 3), "text": beat.text} for beat in brief.beats]
    return entry


def performance_to_dict(performance: Performance) -> dict[str, object]:
    """The performance as a JSON object, each pose with all 61 channels."""
    return _header_dict(performance.brief) | {"keyframes": [keyframe_to_dict(k) for k in performance.keyframes]}


def keyframe_to_dict(keyframe: Keyframe) -> dict[str, object]:
    """One keyframe as a JSON object."""
    return {"t": round(keyframe.time, 3), "text": keyframe.text, "pose": keyframe.pose.to_dict()}


def keyframe_from_dict(row: Mapping[str, object]) -> Keyframe:
    """Parse one keyframe; the inverse of `keyframe_to_dict`."""
    pose = row.get("pose")
    if not isinstance(pose, Mapping):
        raise FacescriptError("bad_pose", "The keyframe has no pose.", "Give one as {channel: value}.")
    return Keyframe(_time(row), _text(row, "text"), Pose.from_dict(pose))


def to_line(entry: Mapping[str, object]) -> str:
    """One JSON line with its newline; never NaN."""
    return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"


def _header(entry: Mapping[str, object]) -> Brief:
    script, background, emotion, number = (_text(entry, key) for key in ("script", "background", "emotion", "id"))
    return Brief(script, background, emotion, number)


def _header_dict(brief: Brief) -> dict[str, object]:
    return {"id": brief.id, "script": brief.script, "background": brief.background, "emotion": brief.emotion}


def _text(entry: Mapping[str, object], key: str, where: str = "") -> str:
    value = entry.get(key, "")
    if isinstance(value, int) and not isinstance(value, bool) and key == "id":
        value = str(value)
    if not isinstance(value, str):
        raise FacescriptError("bad_json", f"{where}{key!r} is {type(value).__name__}, not a text.")
    limit = _LIMITS.get(key, MAX_TEXT)
    if len(value) > limit:
        raise FacescriptError(
            "long_text", f"{where}{key!r} has {len(value)} characters; the limit is {limit}.", "Shorten or split it."
        )
    if not is_whole(value):
        raise FacescriptError("bad_json", f"{where}{key!r} holds half a character (a lone surrogate) or a NUL.")
    return value


def _keyframe_rows(entry: Mapping[str, object], *, required: bool) -> list[Mapping[str, object]]:
    rows = entry.get("keyframes")
    if rows is None and not required:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise FacescriptError("bad_json", "'keyframes' is not a list of objects.", 'Give [{"t": 0.0, "text": "..."}].')
    return rows


def _time(row: Mapping[str, object], where: str = "") -> float:
    if "t" not in row:
        raise FacescriptError("bad_time", f"{where}'t' is missing, the time in seconds.")
    value = row["t"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FacescriptError("bad_time", f"{where}'t' is not a number of seconds.")
    try:
        # Whole milliseconds, as they are written: what reads well reads back.
        return round(float(value), 3) + 0.0
    except OverflowError:
        raise FacescriptError("bad_time", f"{where}'t' is too large.") from None
