# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's own end of the pipe, kept apart from whatever libraries print."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TextIO


class Output:
    """Writes whole lines to what was standard output; everything else that is printed goes to standard error."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._stream: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        """Write one line and flush it. Ends the process if nobody listens any more."""
        try:
            with self._lock:
                self._stream.write(text)
                self._stream.flush()
        except OSError:
            end()


def end() -> None:
    """End this process at once, and all that it has started where it leads a group of its own."""
    if sys.platform != "win32" and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
