# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps of set-up share: what they are told, what they find out, and how they run Python and pip."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...performance.errors import FacescriptError
from .child_process import Cancelled, ChildProcess, never
from .locks import Pin, Target, needed, read_lock
from .package_index import PipSettings
from .pip_progress import KEPT_LINES, PipProgress, pip_error
from .runtime import ACCELERATORS, MODEL_LOCK, REQUIREMENTS, Accelerator, child_environment, env_lock, env_python

START = Path(__file__).parents[1] / "start.py"
_WATCHED = Path(__file__).with_name("watched.py")
# Bytes that the converted models take, with what making them needs beside.
MODELS_BYTES = 0.7e9

# pip's variables that would put what it fetches elsewhere, or nothing anywhere, or hide what it does. The rest
# (indexes, proxies, certificates, constraints, the cache) is the user's own and holds.
_NOT_FOR_PIP = (
    "TARGET PREFIX ROOT PYTHON QUIET DRY_RUN REPORT NO_DEPS IGNORE_INSTALLED FORCE_REINSTALL UPGRADE REQUIREMENT "
    "EDITABLE REQUIRE_HASHES PLATFORM PYTHON_VERSION IMPLEMENTATION ABI NO_BINARY"
).split()

Report = Iterator[tuple[float, str]]


@dataclass(frozen=True)
class SetupOptions:
    """What set-up may and shall do.

    `base_python` is the Python that the environment is made with (Blender's own: `sys.executable` there).
    `online` is whether the network may be used; without it `wheels`, a folder of wheels, is needed. `python` uses
    an existing environment instead of making one. `repair` makes everything anew. `accelerator` is what torch is
    built for. `requirements` and `start` are for tests.
    """

    base_python: Path = Path(sys.executable)
    online: bool = True
    wheels: Path | None = None
    python: Path | None = None
    repair: bool = False
    accelerator: Accelerator = "cpu"
    requirements: Path = REQUIREMENTS
    start: Path = START

    @property
    def lock(self) -> str:
        """The file name of the environment's lock."""
        return env_lock(self.accelerator)


@dataclass
class Work:
    """What the steps share while they work, and what they find out.

    `wheels` is where wheels are fetched to, `target` the machine that they are for, `here` the one that works, and
    `bytes` how much they are; `unpacks` is whether they are installed here, which needs more room.
    """

    options: SetupOptions
    folder: Path
    env: Path
    models: Path
    wheels: Path
    cancelled: Cancelled = never
    lock_descriptor: int = -1
    done: tuple[str, ...] = ()
    target: Target | None = None
    here: Target | None = None
    bytes: int = 0
    unpacks: bool = True
    pip_settings: PipSettings | None = None
    python_version: str = ""
    quantization: str = ""
    selftest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """The Python that packages are installed for and models are prepared with."""
        return self.options.python or env_python(self.env)

    @property
    def scratch(self) -> Path:
        """The folder for what is not kept."""
        return self.folder / "tmp"

    @property
    def lock(self) -> str:
        """The file name of the lock for the target's environment."""
        return env_lock(self.options.accelerator, self.target.system if self.target else sys.platform)

    def pins(self, *names: str) -> tuple[Pin, ...]:
        """What the target needs of these locks. Raises FacescriptError (`no_torch`) if it cannot have torch."""
        assert self.target is not None
        found: list[Pin] = []
        for name in names:
            lock = read_lock(self.options.requirements / name)
            pins = needed(lock, self.target)
            if any(pin.name == "torch" for pin in lock.pins) and not any(pin.name == "torch" for pin in pins):
                raise no_torch(self.options.accelerator, self.target)
            found += pins
        return tuple(found)

    def wanted(self) -> tuple[Pin, ...]:
        """What is still to be installed."""
        steps = {"packages": self.lock, "model": MODEL_LOCK}
        return self.pins(*(name for step, name in steps.items() if step not in self.done))

    def environment(self) -> dict[str, str]:
        """The children's environment: scratch files lie in the runtime's folder, where space was checked."""
        scratch = str(self.scratch)
        return child_environment() | {"TMPDIR": scratch, "TEMP": scratch, "TMP": scratch}

    def child(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> ChildProcess:
        """Start a child. It holds the folder's lock with us: one that outlives a killed Blender keeps others out."""
        held = (self.lock_descriptor,) if self.lock_descriptor >= 0 else ()
        return ChildProcess(command, environment or self.environment(), self.folder, held)


@dataclass(frozen=True)
class Step:
    """One step: its share of the time, and whether it is done once for all and in an existing environment."""

    name: str
    weight: float
    title: str
    run: Callable[[Work], Report]
    lasting: bool = True
    existing: bool = False


def python_command(python: Path, *arguments: str) -> list[str]:
    """A Python command line apart from the user's own settings (-I), with UTF-8 everywhere (-I drops PYTHONUTF8)."""
    return [str(python), "-I", "-X", "utf8", *arguments]


def module_command(python: Path, module: str, *arguments: str) -> list[str]:
    """A command line that runs a module, and ends when this process has; see watched.py."""
    return python_command(python, str(_WATCHED), str(os.getpid()), module, *arguments)


def pip_command(work: Work, *arguments: str) -> list[str]:
    """A pip command line that asks nothing and builds nothing."""
    return module_command(
        work.python, "pip", *arguments[:1], "--no-input", "--disable-pip-version-check", *arguments[1:]
    )


def user_pip_environment(work: Work) -> dict[str, str]:
    """The environment for a pip that heeds what the user has set it to, where that does no harm."""
    dropped = {f"PIP_{name}" for name in _NOT_FOR_PIP}
    return {key: value for key, value in work.environment().items() if key not in dropped}


def run_pip(
    work: Work,
    step: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    progress: PipProgress,
    idle: float = 0.0,
) -> Report:
    """Run pip, telling what it does; with `idle`, (0, "") after so many seconds in which it says nothing.

    Raises FacescriptError with the decisive line of its output.
    """
    with work.child(command, environment) as child:
        for line in child.lines(work.cancelled, idle):
            if not line:
                yield 0.0, ""
            elif news := progress.feed(line):
                yield news
    if child.status:
        raise pip_error(step, child.status, list(progress.tail))


def run(
    work: Work, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[int | None, list[str]]:
    """Run a command to its end: its exit status and last lines."""
    tail: list[str] = []
    with work.child(command, environment) as child:
        for line in child.lines(work.cancelled):
            tail = [*tail[-KEPT_LINES:], line[:2000]]
    return child.status, tail


def require_space(folder: Path, needed: float) -> None:
    """Raises FacescriptError (`no_disk`) if fewer than `needed` bytes are free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FacescriptError(
            "no_disk",
            f"Set-up needs {needed / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB are free.",
            "Free some space, or choose another folder in the preferences.",
        )


def tree_size(folder: Path) -> int:
    """The bytes of all files in a folder; 0 if there is none."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def no_torch(accelerator: Accelerator, target: Target) -> FacescriptError:
    dotted = ".".join(map(str, target.python))
    here = f"{target.system}, {target.machine}, Python {dotted}"
    what = f"There is no PyTorch for {ACCELERATORS[accelerator]} here ({here})."
    if accelerator == "cpu":
        return FacescriptError("no_torch", what, "Use a server instead.")
    hint = "Choose Processor as the Accelerator; on Windows, a Blender with Python 3.12 or later can use an NVIDIA GPU."
    return FacescriptError("no_torch", what, hint)
