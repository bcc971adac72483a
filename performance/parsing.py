# SPDX-License-Identifier: GPL-3.0-or-later
"""The border: how bytes, text and JSON from outside are read. Every reader of the project goes through here.

What is said once here: files are regular files of a limited size, looked at before they are read; text is UTF-8, with
or without a byte order mark; JSON has finite numbers, no name twice in an object, no half characters, and limited depth
and length. What the fields mean, and their ranges, is the business of each reader; so are fields that nobody knows, by
one rule: where people write names by hand and one that is misspelt would be lost in silence (poses, profiles, styles,
options, records), they are errors; where other programs add fields of their own (JSON lines, answers of models and
servers, models' configurations), they are passed over.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .errors import FacescriptError

# Objects and lists within one another. A reply in a list of results has six; nobody writes twenty by hand.
MAX_DEPTH = 20
# Values in one JSON text: what 16,000 keyframes with all channels have. Of a text of nothing but brackets, each byte
# takes sixty in memory.
MAX_VALUES = 1_000_000
# Digits of a whole number: past any that a double can tell from its neighbours.
_MAX_DIGITS = 40

MAX_JSON_BYTES = 8 << 20

# Escapes that may be half a character, or NUL.
_ESCAPED = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")


@contextmanager
def open_regular(path: Path, limit: int = sys.maxsize) -> Iterator[BinaryIO]:
    """Open a regular file of at most `limit` bytes for reading. Raises FacescriptError: `large_file`; `no_file`, also
    for what is no regular file (opening a pipe would wait for ever), and for what goes wrong while it is read."""
    descriptor = _opened(path)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FacescriptError("no_file", f"{path} is not a file.", "Choose another one.")
        if found.st_size > limit:
            raise too_large(path, limit)
        with open(descriptor, "rb", closefd=False) as stream:
            yield stream
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        # Not to wait for a pipe's other end; Windows has neither the flag nor such pipes among its files.
        return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    # ValueError: a name that no file can have.
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> FacescriptError:
    why = getattr(error, "strerror", None) or error
    return FacescriptError("no_file", f"Cannot read {path}: {why}.", "Check the path and its permissions.")


def is_denied(error: BaseException) -> bool:
    """Whether what was raised comes from a file that may not be read: not a fault of what is in it."""
    cause = error.__cause__
    return isinstance(cause, PermissionError) or (isinstance(cause, FacescriptError) and is_denied(cause))


def read_bytes(path: Path, limit: int) -> bytes:
    """A regular file of at most `limit` bytes. Raises what `open_regular` raises."""
    with open_regular(path, limit) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise too_large(path, limit)
    return data


def too_large(path: Path, limit: int) -> FacescriptError:
    """What is said of a file of more than `limit` bytes."""
    most = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
    return FacescriptError("large_file", f"{path} is larger than {most}.", "Choose another one, or split it.")


def decode(data: bytes) -> str:
    """UTF-8 bytes as text, without a byte order mark. Raises FacescriptError (`bad_text`)."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"This is not UTF-8 text (byte {error.start})."
        raise FacescriptError("bad_text", what, "Save it as UTF-8.") from error


def read_text(path: Path, limit: int) -> str:
    """A text file of at most `limit` bytes. Raises FacescriptError: what `read_bytes` raises, and `bad_text`."""
    data = read_bytes(path, limit)
    try:
        return decode(data)
    except FacescriptError as error:
        raise FacescriptError(error.code, f"{path}: {error.message}", error.hint) from error


def parse_json(source: bytes | str, most: int = MAX_VALUES, *, whole: bool = True) -> Any:
    """Parse one JSON value of at most `most` values. Raises FacescriptError (`bad_json`).

    With `whole` off, texts may hold half characters, as paths that are not UTF-8 do in Python.
    """
    try:
        text = decode(source) if isinstance(source, bytes) else source
    except FacescriptError as error:
        raise FacescriptError("bad_json", error.message, error.hint) from error
    check_text(text, most)
    try:
        found = STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise FacescriptError("bad_json", f"This is not JSON: {error.msg} at column {error.colno}.") from error
    except RecursionError as error:
        raise _nested() from error
    check_value(found, escaped=whole and bool(_ESCAPED.search(text)))
    return found


def parse_object(source: bytes | str, most: int = MAX_VALUES, *, whole: bool = True) -> dict[str, Any]:
    """Parse one JSON object, as `parse_json` does. Raises FacescriptError (`bad_json`)."""
    found = parse_json(source, most, whole=whole)
    if not isinstance(found, dict):
        raise FacescriptError("bad_json", f"Expected a JSON object, found {type(found).__name__}.")
    return found


def read_object(path: Path, limit: int = MAX_JSON_BYTES, most: int = MAX_VALUES) -> dict[str, Any]:
    """One JSON object from a file. Raises FacescriptError: what `read_bytes` raises, and `bad_json` by name."""
    data = read_bytes(path, limit)
    try:
        return parse_object(data, most)
    except FacescriptError as error:
        hint = error.hint or "Correct the file, or choose another one."
        raise FacescriptError(error.code, f"{path}: {error.message}", hint) from error


def check_text(text: str, most: int = MAX_VALUES) -> None:
    """Raise FacescriptError (`bad_json`) for a text whose JSON would hold more than `most` values, and for one with
    half characters in it."""
    if text.count(",") + text.count("[") + text.count("{") > most:
        raise FacescriptError("bad_json", f"This holds more than {most:,} values.", "Split it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _half() from error


def check_value(value: Any, *, escaped: bool) -> None:
    """Raise FacescriptError (`bad_json`) for parsed JSON that is too deep and, with `escaped` characters in it, for
    texts that are not whole."""
    level = [value] if isinstance(value, (dict, list)) else []
    if escaped and not level:
        _check_whole(value)
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _nested()
        inner: list[Any] = []
        for part in level:
            values = part.values() if isinstance(part, dict) else part
            if escaped:
                for text in (*part, *values):
                    _check_whole(text)
            inner += [v for v in values if isinstance(v, (dict, list))]
        level = inner


def is_whole(text: str) -> bool:
    """Whether a text has neither half characters (lone surrogates), which no file can hold, nor NUL, at which Blender's
    texts end."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def printable(text: str) -> str:
    """A text in one line without what is not seen or turns others round: control characters, marks of direction."""
    return "".join(char if char.isprintable() else " " for char in text)


def _check_whole(value: Any) -> None:
    if isinstance(value, str) and not is_whole(value):
        raise _half()


def _half() -> FacescriptError:
    return FacescriptError("bad_json", "A text holds half a character (a lone surrogate) or a NUL.")


def _nested() -> FacescriptError:
    return FacescriptError("bad_json", "This is nested too deeply.")


def _constant(name: str) -> float:
    raise FacescriptError("bad_json", f"{name} is not a finite number.")


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0.0:
        raise FacescriptError("bad_json", f"{text[:20]} is too large a number.")
    return value


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise FacescriptError("bad_json", f"{text[:20]}... is too large a number.")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise FacescriptError("bad_json", f"The name {twice[:60]!r} is given twice.")
    return found


# Raises FacescriptError for what JSON itself would let through. `decode` and `raw_decode` raise JSONDecodeError and
# RecursionError beside that, and leave `check_text` and `check_value` to whoever calls them.
STRICT = json.JSONDecoder(parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_object)
