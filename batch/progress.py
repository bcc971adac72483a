# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a batch is, on one line of a terminal; elsewhere as a line now and then."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

# Seconds between two looks of a terminal's line, and between two lines of a log.
_BLINK, _LOG = 0.2, 15.0
# Lines of which the rate is told: enough to be steady, few enough to follow a machine that gets busy.
_RECENT = 200


class Progress:
    """Counts lines of a batch: `total` to do in this run, on so many `workers`. `inline`: whether it is drawn over
    itself."""

    def __init__(
        self, total: int, workers: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._workers, self._clock = total, workers, clock
        self._stream = stream or sys.stdout
        self.inline = self._stream.isatty()
        # Seconds from one line to the next, and when the last one was through, where the time since then counts.
        self._gaps: deque[float] = deque(maxlen=_RECENT)
        self._last: float | None = None
        self._drawn = clock()
        self.done = self.failed = 0

    def step(self, failed: bool) -> None:
        """One line is through."""
        now = self._clock()
        self.failed += failed
        self.done += not failed
        if self._last is not None:
            self._gaps.append(now - self._last)
        # Before its first line, each worker starts and loads its model.
        self._last = now if self.done + self.failed >= self._workers else None
        if now - self._drawn >= (_BLINK if self.inline else _LOG):
            self._drawn = now
            self._draw()

    def wait(self) -> None:
        """A line is waited for: the time up to the next one is no part of the rate."""
        self._last = None

    def say(self, text: str, stream: TextIO | None = None) -> None:
        """Print a line above the progress."""
        if self.inline:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
        print(text, file=stream or self._stream, flush=True)

    def end(self) -> None:
        """Leave the last state on a line of its own."""
        if self.done + self.failed:
            self._draw()
            if self.inline:
                print(file=self._stream, flush=True)

    @property
    def text(self) -> str:
        """Such as `312 of 1,000 lines, 58.2 a minute, 12 min left, 2 failed`; the rate once it is known."""
        through = self.done + self.failed
        parts = [f"{through:,} of {self._total:,} lines"]
        spent = sum(self._gaps)
        # Workers that started together end their lines together: fewer gaps are of no whole round.
        if spent > 0.0 and len(self._gaps) >= self._workers:
            rate = len(self._gaps) / spent
            parts.append(f"{60.0 * rate:,.1f} a minute")
            if through < self._total:
                parts.append(f"{duration((self._total - through) / rate)} left")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return ", ".join(parts)

    def _draw(self) -> None:
        if self.inline:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{self.text[:width]}")
            self._stream.flush()
        else:
            print(self.text, file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: `45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
