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
    """Counts lines of a batch: `total` to do in this run. `inline`: whether it is drawn over itself."""

    def __init__(self, total: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._clock = total, clock
        self._stream = stream or sys.stdout
        self.inline = self._stream.isatty()
        self._times = deque([clock()], _RECENT)
        self._drawn = self._times[0]
        self.done = self.failed = 0

    def step(self, failed: bool) -> None:
        """One line is through."""
        self.failed += failed
        self.done += not failed
        self._times.append(self._clock())
        if self._times[-1] - self._drawn >= (_BLINK if self.inline else _LOG):
            self._draw()

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
        """Such as `312 of 1,000 lines, 58.2 a minute, 12 min left, 2 failed`."""
        through = self.done + self.failed
        parts = [f"{through:,} of {self._total:,} lines"]
        spent = self._times[-1] - self._times[0]
        if spent > 0.0:
            rate = (len(self._times) - 1) / spent
            parts.append(f"{60.0 * rate:,.1f} a minute")
            if through < self._total:
                parts.append(f"{duration((self._total - through) / rate)} left")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return ", ".join(parts)

    def _draw(self) -> None:
        self._drawn = self._times[-1]
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
