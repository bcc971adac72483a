# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory this machine can still give, for a Blender that has no library for it."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path


def free() -> int | None:
    """Bytes that a process can still have; of macOS all that there are; None where that cannot be told."""
    if (found := available()) is not None or sys.platform == "win32":
        return found
    with suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def available() -> int | None:
    """Bytes that a process can still have, as Linux and Windows tell it; None elsewhere."""
    if sys.platform == "win32":
        return _windows()
    # https://www.kernel.org/doc/html/latest/filesystems/proc.html: MemAvailable, in kB.
    with suppress(OSError, ValueError, StopIteration, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) << 10
    return None


class _Status(ctypes.Structure):
    """MEMORYSTATUSEX of Windows' sysinfoapi.h."""

    _fields_ = [
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        *((name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
    ]


def _windows() -> int | None:
    status = _Status(length=ctypes.sizeof(_Status))
    library = getattr(ctypes, "windll", None)
    if library is None or not library.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.free)
