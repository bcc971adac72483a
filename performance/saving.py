# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written whole or not at all: a full disk leaves the older file as it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from .errors import FacescriptError


@contextmanager
def saved(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text file with plain newlines to write into; it takes the place of the one at `path` when all is written.

    Raises FacescriptError (`no_file`) if it cannot be written.
    """
    partial: Path | None = None
    try:
        # What a link leads to, not the link, is replaced.
        target = path.resolve() if path.is_symlink() else path
        partial = target.with_name(target.name + ".partial")
        with partial.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, partial)
        os.replace(partial, target)
    except BaseException as error:
        with suppress(OSError, ValueError):
            if partial is not None:
                partial.unlink()
        # ValueError: a name that no file can have.
        if isinstance(error, OSError) or (isinstance(error, ValueError) and "\0" in str(path)):
            why = getattr(error, "strerror", None) or error
            raise FacescriptError("no_file", f"Cannot write {path}: {why}.", "Choose another folder.") from error
        raise
