# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that can be done in small steps, so that a window stays live: generators that yield between them.

A step takes a few milliseconds at most. Closing the generator half-way takes back what was done, as an error does.

Between two slices of steps the user, or another add-on, can do anything to what is worked on. `Changed` is raised at
the yield then. Work that holds on to more than names there lets it pass, is taken back by that, and is begun anew
(`steadily`); work that looks up anew what it needs goes on (`pause`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]


class Changed(Exception):
    """What is worked on is not as the last step left it."""


def pause() -> Steps[None]:
    """End a step, for work that holds nothing but names across it."""
    with suppress(Changed):
        yield


def steadily(make: Callable[[], Steps[T]]) -> Steps[T]:
    """Do work in steps; where something is changed in between, take it back and do it all in one step."""
    with suppress(Changed):
        return (yield from make())
    return finish(make())


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


class Slices(Generic[T]):
    """Steps that are done a slice at a time; `sight` is what they work on, as something that can be compared."""

    def __init__(self, steps: Steps[T], sight: Callable[[], object]) -> None:
        self._steps = steps
        self._sight = sight
        self._left: object = None
        self.begun = False

    def advance(self, seconds: float) -> bool:
        """Do steps for about so many seconds. Whether there are more."""
        more = self._look() and advance(self._steps, seconds)
        self.begun = True
        if more:
            self._left = self._sight()
        return more

    def finish(self) -> None:
        """Do all the steps that are left."""
        if self._look():
            finish(self._steps)

    def close(self) -> None:
        """Take back what was done."""
        self._steps.close()

    def _look(self) -> bool:
        """Have the steps know whether something was changed; whether there are more."""
        if self.begun and self._sight() != self._left:
            try:
                self._steps.throw(Changed())
            except StopIteration:
                return False
        return True
