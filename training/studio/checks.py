# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at before work that takes hours: the disk, the memory, and what lies where the result will be."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...inference.worker.placement import this_machine
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


def memory(needed: int, what_fits: str, free: int | None = None) -> None:
    """Say how many bytes are needed and are `free` (of the machine's memory, if not given). Raises FacescriptError
    (`no_memory`) if they are too few."""
    free = this_machine().memory if free is None else free
    if free < needed:
        what = f"The training needs about {_gib(needed)} of memory, and {_gib(free)} are free."
        raise FacescriptError("no_memory", what, what_fits)
    print(f"The training needs about {_gib(needed)} of memory; {_gib(free)} are free.", flush=True)


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"
