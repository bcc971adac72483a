# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module of Python's, such as pip, until it ends or who started it has: `watched.py PID MODULE ARGUMENT ...`.

A Blender that is killed takes nothing with it by itself; what it has started would go on writing into the runtime's
folder and keep the next set-up out. On Windows, where a parent's number does not tell, such a child goes on to its end.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_LOOK_SECONDS = 0.5


def end_with(parent: int) -> None:
    """Have this process, and its group if it leads one, end by force soon after its parent has ended (POSIX)."""
    if sys.platform != "win32":
        threading.Thread(target=_watch, args=(parent,), daemon=True, name="facescript-parent").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Run the module as `python -m` does."""
    parent, module, *given = arguments
    end_with(int(parent))
    sys.argv = [module, *given]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
