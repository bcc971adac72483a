# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that can be done in small steps, so that a window stays live: generators that yield between them.

A step takes a few milliseconds at most. Closing the generator half-way takes back what was done, as an error does.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]


def finish(steps: Steps[T]) -> T:
    """Do all the steps that are left; what the work returns."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def advance(steps: Steps[T], seconds: float) -> bool:
    """Do steps for about so many seconds. Whether there are more."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        try:
            next(steps)
        except StopIteration:
            return False
    return True
