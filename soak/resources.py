# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process holds on to, read from Linux's /proc: memory, children, pipes and files."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True)
class Held:
    """Threads of the extension's by their names, child processes, pipes, and open files under a folder."""

    threads: tuple[str, ...]
    children: tuple[int, ...]
    pipes: int
    files: tuple[str, ...]


def held(folder: Path, prefix: str) -> Held:
    """What this process holds now; `prefix` begins the names of the extension's threads."""
    threads = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith(prefix))
    pipes, files = 0, []
    for entry in Path("/proc/self/fd").iterdir():
        # It was the one that lists the folder.
        with suppress(OSError):
            at = os.readlink(entry)
            pipes += at.startswith("pipe:")
            files += [at] if at.startswith(str(folder)) else []
    return Held(tuple(threads), tuple(sorted(children())), pipes, tuple(sorted(files)))


def children() -> list[int]:
    """The processes that this one has started and that still run, or that nobody has waited for."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


def memory() -> float:
    """Resident memory of this process, in MB."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6
    except OSError:
        return 0.0
