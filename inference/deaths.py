# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a worker ended, told from its exit status and its last words; nothing of a script is among what is told.

Last words may be a traceback with values in it, so only the kinds of errors are quoted, and what an ImportError says,
which are names of modules and libraries.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..performance import FacescriptError
from . import update
from .protocol import plain
from .start import DAMAGED, LACKING

AGAIN = "Generate again; if it happens again, press Repair in the preferences."
MEMORY = "Close other programs, or choose 4 bit or a smaller model in the preferences, and generate again."

_IMPORT = re.compile(r"(?:ModuleNotFound|Import)Error: .*")
_KIND = re.compile(r"\b(?:\w+\.)*\w*(?:Error|Exception)(?=:|$)")
# As the C library, C++, torch, Rust and the system's loader say it.
_MEMORY = re.compile(r"out of memory|(?:cannot|can't|failed to|not) (?:re)?alloc|bad_?alloc|MemoryError", re.IGNORECASE)
_HALF = re.compile(r"\b(?:Syntax|Indentation|Tab)Error:")
# Windows: STATUS_NO_MEMORY and STATUS_COMMITMENT_LIMIT.
_WINDOWS_MEMORY = (0xC0000017, 0xC000012D)
_ENDED = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXCPU")


def is_memory(text: str) -> bool:
    """Whether an error's text says that memory ran out."""
    return _MEMORY.search(text) is not None


def no_memory() -> FacescriptError:
    """What to say then."""
    return FacescriptError("no_memory", "The worker ran out of memory.", MEMORY)


def memory_kills() -> int:
    """How many processes Linux has ended since it started because memory ran out; 0 where that is not known."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def told(status: int | None, words: Iterable[str], ready: bool, starved: bool) -> FacescriptError:
    """The error for a worker that ended with an exit status (None: it lives, but closed its output).

    `words` is what it printed last, `ready` whether it had introduced itself, `starved` whether the system has ended
    processes meanwhile because memory ran out. Codes: `no_memory`, `worker_killed`, `worker_died`, `bad_install`,
    `bad_runtime`, `updated`.
    """
    lines = [plain(line) for line in words]
    try:
        update.check()
    except FacescriptError as error:
        return error
    name = _signal(status)
    if status in _WINDOWS_MEMORY or (name == "SIGKILL" and starved) or any(is_memory(line) for line in lines):
        return no_memory()
    if name in _ENDED:
        what = f"The worker was ended from outside ({name})."
        return FacescriptError("worker_killed", what, f"If nobody did that, memory ran out. {MEMORY}")
    if name:
        return FacescriptError("worker_died", f"The worker crashed ({name}).", AGAIN)
    half = not ready and (status == 0 or any(_HALF.search(line) for line in lines[-1:]))
    if status == DAMAGED or half:
        hint = "Install the extension again, and restart Blender."
        return FacescriptError("bad_install", "Some of Facescript's own files are missing or damaged.", hint)
    said = _quoted(lines)
    if status == LACKING:
        return lacking(said)
    if status is None:
        return FacescriptError("worker_died", "The worker closed its output.", AGAIN)
    if not said:
        return FacescriptError("worker_died", f"The worker ended by itself (status {status}).", AGAIN)
    return FacescriptError("worker_died", f"The worker ended by itself (status {status}): {said}.", AGAIN)


def lacking(said: str) -> FacescriptError:
    """The error for a package of the runtime that is missing or damaged."""
    what = f"The runtime is damaged ({said or 'a package is missing'})."
    return FacescriptError("bad_runtime", what, "Press Repair in the preferences.")


def _quoted(lines: list[str]) -> str:
    for line in reversed(lines):
        if found := _IMPORT.search(line) or _KIND.search(line):
            return found[0][:300].rstrip(".")
    return ""


def _signal(status: int | None) -> str:
    """The name of the signal that ended a process, also if a shell or a container passed it on; "" if none did."""
    if status is None:
        return ""
    number = -status if status < 0 else status - 128
    try:
        return signal.Signals(number).name if number > 0 else ""
    except ValueError:
        return ""
