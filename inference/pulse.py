# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges from what a worker says, and does not say, whether it hangs."""

from __future__ import annotations

from .protocol import Alive

# Seconds without a word after which a worker hangs. It says that it is alive each second, from a thread of its own, so
# neither a long step nor a busy machine makes it silent: a stopped or swapped out process does. While a library is
# loaded for the first time, nothing of Python runs, which a slow disk or a virus scanner makes long.
SILENT, SILENT_AT_FIRST = 10.0, 20.0
# Seconds in which a request came no step further and the whole process used next to no processor time: a slow step,
# or a slow disk, uses some.
STUCK, NEXT_TO_NONE = 30.0, 0.03


class Pulse:
    """What is known of one worker. Times are given to it, so that it knows nothing of clocks."""

    def __init__(self) -> None:
        self._silent = 0.0
        self._still = 0.0
        self._step = 0
        self._worked = 0.0

    def hear(self) -> None:
        """It said something."""
        self._silent = 0.0

    def feel(self, alive: Alive) -> None:
        """It said that it is alive."""
        self._silent = 0.0
        if alive.step != self._step or alive.worked - self._worked > NEXT_TO_NONE:
            self._step, self._worked, self._still = alive.step, alive.worked, 0.0

    def wait(self, seconds: float, asked: bool) -> str:
        """Let time pass, in which a request was being worked on if `asked`; why it hangs, or ""."""
        self._silent += seconds
        self._still = self._still + seconds if asked else 0.0
        limit = SILENT if self._step else SILENT_AT_FIRST
        if self._silent >= limit:
            return f"has said nothing for {limit:.0f} seconds"
        if self._still >= STUCK:
            return f"has done nothing for {STUCK:.0f} seconds"
        return ""
