# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at before work that takes hours: the disk, the memory, and what lies where the result will be."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from ...performance import FacescriptError

_GIB = 1 << 30


def folder(out: Path) -> None:
    """Raise FacescriptError (`exists`) if the result would replace something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FacescriptError("exists", f"{out} is there already.", "Choose another folder with --adapter.")


def disk(place: Path, needed: int) -> None:
    """Raise FacescriptError (`no_space`) if the disk of `place` has not so many bytes."""
    there = next(parent for parent in (place, *place.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        what = f"The training needs {_gib(needed)} on the disk of {there}, and {_gib(free)} are free."
        raise FacescriptError("no_space", what, "Make room, or choose another disk with --adapter.")


def memory(needed: int, what_fits: str, available: int | None = None) -> None:
    """Raise FacescriptError (`no_memory`) if so many bytes are not to be had; what is not known may be enough."""
    available = available_memory() if available is None else available
    if available is not None and available < needed:
        what = f"The training needs about {_gib(needed)} of memory, and {_gib(available)} can be had."
        raise FacescriptError("no_memory", what, what_fits)


def available_memory() -> int | None:
    """Bytes that processes can still have, or None where that is not known."""
    # https://www.kernel.org/doc/html/latest/filesystems/proc.html: MemAvailable, in kB.
    with suppress(OSError, ValueError, StopIteration, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) << 10
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"
