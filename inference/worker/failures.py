# SPDX-License-Identifier: GPL-3.0-or-later
"""What to tell of an error that was raised in the worker."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator

from ...performance import FacescriptError
from .. import deaths, mishaps, update


def told(error: BaseException) -> FacescriptError:
    """The error to show: a FacescriptError as it is, unless memory ran out underneath; codes as `deaths` has them."""
    if any(_is_memory(cause) for cause in _causes(error)):
        return deaths.no_memory()
    if isinstance(error, FacescriptError):
        return error
    print(mishaps.trace(error), file=sys.stderr)
    if isinstance(error, ImportError):
        ours = (error.name or "").partition(".")[0] == "facescript"
        return update.updated() if ours else deaths.lacking(f"{type(error).__name__}: {error}".rstrip("."))
    return FacescriptError("worker_error", f"The worker failed ({mishaps.place(error)}).", deaths.AGAIN)


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
