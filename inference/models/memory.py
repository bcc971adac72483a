# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory this machine, or the container that this runs in, can still give: Blender has no library for it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CONTROL_GROUP = Path("/sys/fs/cgroup")
# In a kernel's control group, by its version (2, 1): the limit, what is used, and the part of it that is files nobody
# has looked into lately, which makes room at once.
_LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


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
    # https://www.kernel.org/doc/html/latest/filesystems/proc.html: in kB.
    found = _counted(Path("/proc/meminfo"), "MemAvailable:")
    known = [*_left_of_container(), *([] if found is None else [found << 10])]
    return min(known, default=None)


def _left_of_container() -> Iterator[int]:
    """The bytes that each limit of a container leaves, where all that runs in it is counted."""
    for limit, used, idle in _LIMITS:
        path = _CONTROL_GROUP / used
        try:
            left = int((_CONTROL_GROUP / limit).read_text(encoding="ascii")) - int(path.read_text(encoding="ascii"))
        # There is none, or it says "max".
        except (OSError, ValueError):
            continue
        yield max(0, left + (_counted(path.with_name("memory.stat"), idle) or 0))


def _counted(path: Path, name: str) -> int | None:
    """The number beside a name in a file of such rows; None if it is not told."""
    with suppress(OSError, ValueError, IndexError):
        rows = map(str.split, path.read_text(encoding="ascii").splitlines())
        return next((int(row[1]) for row in rows if row and row[0] == name), None)
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
