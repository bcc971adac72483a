# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folders of a runtime are in use by running workers, of whatever Blender, so that none is removed under them.

A worker holds a lock on a file in each folder that it works from. The system frees it when the process ends, however
it ends.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_NAME = "in-use"
# Windows locks bytes, each for one process: so many workers may work from one folder.
_WORKERS = 1 << 12


def hold(folder: Path) -> bool:
    """Say that this process works from `folder`, until it ends; whether that could be said.

    It cannot in a folder that is read-only (which nobody clears away either), or on a disk without locks.
    """
    with suppress(OSError):
        descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _share(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        # Left open on purpose: with the descriptor goes the lock.
        return True
    return False


def held(folder: Path) -> bool:
    """Whether a running process holds `folder`."""
    try:
        descriptor = os.open(folder / _NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        _take(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


if sys.platform == "win32":
    import msvcrt

    def _share(descriptor: int) -> None:
        os.lseek(descriptor, os.getpid() % _WORKERS, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, _WORKERS)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, _WORKERS)

else:
    import fcntl

    def _share(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
