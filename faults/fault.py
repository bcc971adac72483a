# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fault is, and what came of one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .stage import Stage

# Injecting functions yield while Blender is left to itself for a moment.
Moves = Iterator[None]

# A module a theme, in the order of the page.
THEMES = {
    "worker_process": "The worker process",
    "worker_answers": "What the worker answers",
    "scene": "The scene, while a performance is made",
    "blender": "Blender itself",
    "set_up": "Set Up",
    "runtime_folder": "The runtime's folder",
    "disk": "Disks",
    "files": "Files that are read",
    "models": "Folders of local models",
    "server": "A server that is asked",
    "user": "What the user gives",
}

# Where the next Generate is made with the real model. What is about the words alone, or about Blender, does with a toy.
REAL_THEMES = ("worker_process", "models", "server")
# Where a toy would not do: these faults are in what the real worker reads and asks.
NEVER_TOY = ("models", "server")

# What is expected where nothing is to be noticed, because nothing is lost.
UNHARMED = "unharmed"
# A button that is grey, or a press that does nothing, with a reason.
REFUSED = "refused"
# The user asked for it to be stopped, or a file was opened: a sentence that is no error.
STOPPED = "stopped"


@dataclass(frozen=True)
class Fault:
    """One fault. `how` says how it is injected; `expected` are the codes that an error may have, or the words above.

    `within` is how many seconds it may take to be noticed, `held` how many a window may be held for if more than else.
    `window` means that it needs a Blender in a window; `quick` that it is a part of the tests; `real` that the worker
    in it is the real one with the real model.
    """

    name: str
    theme: str
    how: str
    inject: Callable[[Stage], Moves]
    expected: tuple[str, ...]
    within: float = 10.0
    held: float = 0.0
    window: bool = False
    quick: bool = False
    real: bool = False


@dataclass
class Outcome:
    """What came of a fault, as it was seen from inside Blender, and what was not as it should be.

    `misses` are of what happened, and `late` of how long it took, which also depends on what else the machine does.
    `code`, `message` and `hint` are what the user was told. `noticed` is in seconds after the fault. `held` is the
    longest time, in seconds, that the window had to wait; `window` whether it was a real one, and `usual` how long its
    drawing alone holds it there. `keys` and `next` are
    a word or two on the user's keys and on the next Generate.
    """

    name: str
    theme: str
    how: str
    blender: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""
    noticed: float = 0.0
    held: float = 0.0
    window: bool = False
    usual: float = 0.0
    keys: str = ""
    next: str = ""
    skipped: str = ""
    seconds: float = 0.0
    misses: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def missed(self) -> list[str]:
        """All that was not as it should be."""
        return self.misses + self.late

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


_faults: dict[str, Fault] = {}


def fault(
    *expected: str,
    within: float = 10.0,
    held: float = 0.0,
    window: bool = False,
    quick: bool = False,
    real: bool = False,
) -> Callable[[Callable[[Stage], Moves]], Callable[[Stage], Moves]]:
    """Put an injecting function into the table: its name is the fault's, its docstring says how it is injected."""

    def register(inject: Callable[[Stage], Moves]) -> Callable[[Stage], Moves]:
        name = inject.__name__.strip("_").replace("_", " ")
        theme = inject.__module__.rpartition(".")[2]
        how = " ".join((inject.__doc__ or "").split())
        assert how and expected and name not in _faults and theme in THEMES, name
        _faults[name] = Fault(name, theme, how, inject, expected, within, held, window, quick, real)
        return inject

    return register


def table() -> tuple[Fault, ...]:
    """All faults, theme by theme. Needs no Blender."""
    for theme in THEMES:
        importlib.import_module(f"{__package__}.{theme}")
    return tuple(one for theme in THEMES for one in _faults.values() if one.theme == theme)
