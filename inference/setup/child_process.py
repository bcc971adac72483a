# SPDX-License-Identifier: GPL-3.0-or-later
"""A child process whose lines are read while it can be cancelled, and that leaves no process behind."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...performance.errors import FacescriptError

# How often a silent child lets its reader look whether it was cancelled, in seconds.
_GLANCE = 0.1
# How long the output is read on after the child has ended, in seconds.
_LAST_WORDS = 1.0
# A program that prints without line ends must not fill the memory.
_MAX_LINE = 1 << 16

Cancelled = Callable[[], bool]


def never() -> bool:
    """For what cannot be cancelled."""
    return False


class ChildProcess:
    """A running command; `status` is its exit status once `lines` has ended.

    Use it in a `with` block: whatever happens inside, the child and all its children have ended after it.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, keep_open: Sequence[int] = ()
    ) -> None:
        """Start `command` in `folder`; the descriptors `keep_open` stay open in it (POSIX).

        Raises FacescriptError (`cannot_start`).
        """
        self.status: int | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                **_group(keep_open),
            )
        except OSError as error:
            raise FacescriptError(
                "cannot_start", f"{command[0]} cannot be started: {error.strerror}.", "Check that it can be run."
            ) from error
        self._reader = threading.Thread(target=self._read, daemon=True, name="facescript-set-up-output")
        self._reader.start()

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def lines(self, cancelled: Cancelled = never, idle: float = 0.0) -> Iterator[str]:
        """Each line of output and errors, without its end, until the child ends; none of them is empty.

        With `idle`, an empty one after each so many seconds in which the child says nothing.

        Raises FacescriptError (`cancelled`) soon after `cancelled()` is true, having ended the child.
        """
        silent = time.monotonic()
        while True:
            if cancelled():
                self.kill()
                raise FacescriptError("cancelled", "Set-up was cancelled.", "Press Set Up to go on where it stopped.")
            try:
                line = self._lines.get(timeout=_GLANCE)
            except queue.Empty:
                if self._process.poll() is None:
                    if idle and time.monotonic() - silent > idle:
                        yield ""
                        silent = time.monotonic()
                    continue
                # The child has ended, and something that it started still holds its output.
                self._reader.join(timeout=_LAST_WORDS)
                if self._reader.is_alive():
                    break
                continue
            if line is None:
                break
            yield line
            silent = time.monotonic()
        self.status = self._process.wait()

    def kill(self) -> None:
        """End the child and its children at once; nothing if they have ended."""
        if self._process.poll() is None or self._reader.is_alive():
            _kill_group(self._process)
        self.status = self._process.wait()
        # The reader closes the pipe; what still holds it must not keep us waiting.
        self._reader.join(timeout=_LAST_WORDS)

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with pipe, suppress(ValueError, OSError):
            while data := pipe.readline(_MAX_LINE):
                for line in data.decode("utf-8", "replace").replace("\r", "\n").split("\n"):
                    if line.strip():
                        self._lines.put(line.rstrip())
        self._lines.put(None)


if sys.platform == "win32":

    def _group(keep_open: Sequence[int]) -> dict[str, Any]:
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        command = ["taskkill", "/PID", str(process.pid), "/T", "/F"]
        flags = subprocess.CREATE_NO_WINDOW
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=10.0, creationflags=flags, check=False)
        process.kill()

else:

    def _group(keep_open: Sequence[int]) -> dict[str, Any]:
        return {"start_new_session": True, "pass_fds": tuple(keep_open)}

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
        # The group outlives its leader if a grandchild does not listen.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
