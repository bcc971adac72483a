# SPDX-License-Identifier: GPL-3.0-or-later
"""How many workers a batch starts, and with how many threads each, by the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..inference.models import memory
from ..inference.options import ModelOptions
from ..inference.setup.runtime import child_environment

# Bytes that a worker with the embedded model takes, measured as fp32, which takes most: its peak with torch is 1.0 GB.
EMBEDDED_BYTES = 1200 << 20
# What is left to the rest of the machine.
_SPARED = 1 << 30
# Requests to a server at once, where nobody says how many. It answers as many together, or has them wait.
CONCURRENCY = 8
MAX_WORKERS = 64


@dataclass(frozen=True)
class Crew:
    """`count` worker processes with `threads` for torch each; 0 leaves that to torch."""

    count: int
    threads: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of a worker. Threads of several workers that are more than the machine's cores
        would wait for each other."""
        return child_environment() | ({"OMP_NUM_THREADS": str(self.threads)} if self.threads else {})


def crew(model: ModelOptions, asked: int = 0) -> Crew:
    """The workers for a model; `asked` is how many the user wants, 0 for as many as the machine is good for.

    Of the embedded model one for each core, as far as memory goes: a line takes a model this small about as long on one
    core as on two. Of a local model one, which has the whole machine. For a server each is a request at a time
    (`--at-once 1`), and needs no torch.
    """
    count = asked or _fitting(model)
    if model.backend == "server":
        return Crew(count, 1)
    return Crew(count, max(1, cores() // count) if count > 1 else 0)


def _fitting(model: ModelOptions) -> int:
    if model.backend == "server":
        return CONCURRENCY
    if model.backend == "local":
        return 1
    free = memory.available()
    room = cores() // 2 if free is None else (free - _SPARED) // EMBEDDED_BYTES
    return max(1, min(cores(), room, MAX_WORKERS))


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
