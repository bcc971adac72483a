# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps Blender alive where the other end of a pipe or of a connection is gone."""

from __future__ import annotations

import signal


def outlive() -> None:
    """In this thread, writing to what nobody reads any more is an error (BrokenPipeError), not the end of the process.

    A process of Python's own has that from the start. Blender's has not: there the signal SIGPIPE ends it, with all
    that is not saved. It is blocked in this thread alone, so that nothing changes for Blender. To be called first in
    each thread that writes to a pipe or a connection.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
