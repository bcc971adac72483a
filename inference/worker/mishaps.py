# SPDX-License-Identifier: GPL-3.0-or-later
"""What to tell of an error that was raised in the worker: its kind and its place, and nothing of the script.

What an error says may have a text of the user's in it, and goes to the console only where that is asked for
(`client.DEBUG`).
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from ...performance import FacescriptError
from .. import deaths, update

_DEBUG = "FACESCRIPT_DEBUG"


def told(error: BaseException) -> FacescriptError:
    """The error to show: a FacescriptError as it is, unless memory ran out underneath; codes as `deaths` has them."""
    if any(_is_memory(cause) for cause in _causes(error)):
        return deaths.no_memory()
    if isinstance(error, FacescriptError):
        return error
    if _DEBUG in os.environ:
        traceback.print_exception(error)
    else:
        print(f"{type(error).__name__}\n" + "".join(traceback.format_tb(error.__traceback__)), file=sys.stderr)
    if isinstance(error, ImportError):
        ours = (error.name or "").partition(".")[0] == "facescript"
        return update.updated() if ours else deaths.lacking(f"{type(error).__name__}: {error}".rstrip("."))
    return FacescriptError("worker_error", f"The worker failed ({place(error)}).", deaths.AGAIN)


def place(error: BaseException) -> str:
    """The kind of an error and the line of this project that it came from, such as `KeyError, engine.py line 12`."""
    ours = Path(__file__).resolve().parents[2]
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if ours in Path(frame.filename).resolve().parents]
    where = f", {Path(mine[-1].filename).name} line {mine[-1].lineno}" if mine else ""
    return f"{type(error).__name__}{where}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, FacescriptError):
        return False
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    # Of the libraries alone: a KeyError may quote anything.
    return isinstance(error, (RuntimeError, ImportError, OSError)) and deaths.is_memory(str(error))
