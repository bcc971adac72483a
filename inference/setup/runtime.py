# SPDX-License-Identifier: GPL-3.0-or-later
"""The private runtime: where it lies, what state it is in, and the environment of its processes.

Layout of its folder:

- `runtime.json` names the environment and the models that are in use. It is written last, in one atomic step.
  Where extensions share the folder, `runtime-models-N.json` is that of one that asks for other packages or has another
  Python.
- `env-N` is a virtual environment and `models-N` the converted models. Set-up never changes those in use: it
  makes new ones beside them, at the place where they will stay, and then replaces `runtime.json`. So nothing is
  renamed or moved (a virtual environment cannot be, and Windows refuses it for open files), and an interruption
  at any moment leaves either the old runtime or the new one.
- `setup.json` is the journal of a set-up that is not done, `setup.lock` its lock, `wheels` what it has fetched and
  `tmp` its scratch folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ...performance.errors import FacescriptError
from ...performance.parsing import read_object
from ..servers.addresses import KEY_VARIABLE
from .in_use import held

PACKAGE = Path(__file__).resolve().parents[2]
REQUIREMENTS = PACKAGE / "inference" / "requirements"
MODEL_LOCK = "model.lock"
PIP_LOCK = "pip.lock"
# A state file is a few hundred bytes; more is not one of ours.
_MAX_STATE_BYTES = 1 << 20
SETUP_LOCK = "setup.lock"

StateKind = Literal["missing", "incomplete", "outdated", "ready"]
Accelerator = Literal["cpu", "cuda"]
ACCELERATORS: dict[Accelerator, str] = {"cpu": "the processor", "cuda": "an NVIDIA GPU"}


@dataclass(frozen=True)
class RuntimeState:
    """The runtime's state, with a sentence for the user; `usable` if a worker can be started with it now."""

    kind: StateKind
    sentence: str
    usable: bool = False


@dataclass(frozen=True)
class Record:
    """What `runtime.json` says: which folders are in use, and what they were made from.

    `env` and `models` are names in the runtime's folder; `python` is the path of an existing environment's
    Python if that is used instead of `env`. `requirements` and `model` are digests of the locks, `accelerator` what
    torch was built for. `users` are the folders of the extensions that were set up with it, one a line. `selftest` is
    what the self-test measured.
    """

    models: str
    env: str = ""
    python: str = ""
    requirements: str = ""
    model: str = ""
    version: str = ""
    python_version: str = ""
    platform: str = ""
    quantization: str = ""
    accelerator: str = ""
    users: str = ""
    selftest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Runtime:
    """The private runtime in `folder`, which need not exist."""

    folder: Path

    @property
    def record_path(self) -> Path:
        """`runtime.json`."""
        return self.folder / "runtime.json"

    @property
    def journal_path(self) -> Path:
        """`setup.json`."""
        return self.folder / "setup.json"

    @property
    def wheels(self) -> Path:
        """The folder of what a set-up has fetched."""
        return self.folder / "wheels"

    @property
    def python(self) -> Path:
        """The Python that workers run with. Raises FacescriptError (`no_runtime`) before set-up."""
        record = self._record()
        return Path(record.python) if record.python else env_python(self.folder / record.env)

    @property
    def models(self) -> Path:
        """The folder of converted models. Raises FacescriptError (`no_runtime`) before set-up."""
        return self.folder / self._record().models

    @property
    def quantization(self) -> str:
        """What the measurement at set-up chose. Raises FacescriptError (`no_runtime`) before set-up."""
        return self._record().quantization

    def record(self, requirements: Path = REQUIREMENTS) -> Record | None:
        """What is in use for the extension that asks for `requirements`, or None if there is nothing or it is damaged.

        Where nothing was made for it, or nothing that lives on this machine, it is what was made last, which may do.
        """
        last = read_record(self.record_path)
        if last is None or (asks_for(requirements, last) and self.is_alive(last)):
            return last
        found = [last, *filter(None, map(read_record, self.other_record_paths()))]
        # Of several that are as good, the first.
        return max(found, key=lambda record: (self.is_alive(record), asks_for(requirements, record)))

    def other_record_paths(self) -> list[Path]:
        """Each `runtime-models-N.json`."""
        return sorted(self.folder.glob("runtime-models-*.json"))

    def state(self, requirements: Path = REQUIREMENTS, accelerator: Accelerator | None = None) -> RuntimeState:
        """Look at the folder (a few small files: cheap enough for drawing a panel); `accelerator` is what is wanted."""
        record = self.record(requirements)
        if record is None:
            if self.journal_path.exists() or self.record_path.exists():
                return RuntimeState("incomplete", f"Set-up was interrupted. {_GO_ON}{self._here()}.")
            return RuntimeState("missing", "The language model is not set up yet. Press Set Up.")
        if not self.is_alive(record):
            return RuntimeState(
                "incomplete", "The runtime's Python is gone or was moved. Press Set Up to make it again."
            )
        if not (self.folder / record.models).is_dir():
            return RuntimeState("incomplete", "The model's files are gone. Press Set Up to make them again.")
        if record.platform != platform_name():
            return RuntimeState(
                "outdated", f"The runtime was made for {record.platform}. Press Set Up to make one here."
            )
        if why := self._outdated(record, requirements, accelerator):
            here = self._here()
            return RuntimeState("outdated", f"{why} {_GO_ON if here else 'Press Set Up to update'}{here}.", usable=True)
        return RuntimeState("ready", f"Ready ({record.quantization}).", usable=True)

    def _outdated(self, record: Record, requirements: Path, accelerator: Accelerator | None) -> str:
        """In what a runtime that works is not the one that is wanted; "" if it is."""
        if not record.python and accelerator and sys.platform != "darwin":
            made = ACCELERATORS.get(record.accelerator)  # type: ignore[call-overload]
            if made and record.accelerator != accelerator:
                return f"The runtime was made for {made}, and {ACCELERATORS[accelerator]} is chosen."
        return "" if asks_for(requirements, record) else "This version needs newer packages."

    def _here(self) -> str:
        """How much an interrupted set-up has fetched, in words; "" if that is nothing or not known."""
        entry = read_json(self.journal_path) or {}
        total = entry.get("bytes")
        if not isinstance(total, int) or total <= 0 or not self.wheels.is_dir():
            return ""
        with suppress(OSError):
            here = sum(entry.stat().st_size for entry in os.scandir(self.wheels))
            return f" ({min(here, total) / 1e6:.0f} of {total / 1e6:.0f} MB are here)" if here else ""
        return ""

    def _record(self) -> Record:
        record = self.record()
        if record is None:
            raise FacescriptError("no_runtime", "The language model is not set up.", "Press Set Up in the preferences.")
        return record

    def is_alive(self, record: Record) -> bool:
        """Whether the Python of a record can be run here."""
        if record.python:
            # Path.is_file raises for names that are too long.
            return os.path.isfile(record.python)
        return is_alive(self.folder / record.env)


_GO_ON = "Press Set Up to go on where it stopped"


def read_record(path: Path) -> Record | None:
    """The record in a file, or None if there is none or it is damaged."""
    entry = read_json(path)
    if entry is None or entry.get("complete") is not True:
        return None
    kept = {f.name: entry[f.name] for f in fields(Record) if f.name in entry}
    selftest = kept.pop("selftest", {})
    if not isinstance(selftest, dict) or not all(isinstance(value, str) for value in kept.values()):
        return None
    try:
        record = Record(**kept, selftest=selftest)
    except TypeError:
        return None
    # Names, not paths: nothing outside of the folder is ever used or removed.
    named = is_generation(record.models, "models") and (record.python or is_generation(record.env, "env"))
    return record if named else None


def asks_for(requirements: Path, record: Record) -> bool:
    """Whether what a record names was made from these locks, for whichever accelerator."""
    if record.model != digest(requirements, MODEL_LOCK):
        return False
    return bool(record.python) or record.requirements in {digest(requirements, env_lock(a)) for a in ACCELERATORS}


def env_lock(accelerator: Accelerator, system: str = sys.platform) -> str:
    """The file name of the lock for an environment."""
    return "macos.lock" if system == "darwin" else f"{accelerator}.lock"


def write_record(runtime: Runtime, record: Record) -> None:
    """Put a new runtime in use, atomically."""
    write_json(runtime.record_path, {"complete": True, **asdict(record)})


def child_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment variables for the runtime's processes; `base` is what they come from (this process's).

    Nothing that points Python at Blender's own modules is left, and nothing in there reaches for the network.
    """
    # __PYVENV_LAUNCHER__ makes macOS's Python take itself for another one.
    # The key is said to a worker over its pipe, if at all.
    dropped = ("__PYVENV_LAUNCHER__", "VIRTUAL_ENV", KEY_VARIABLE)
    source = os.environ if base is None else base
    kept = {key: value for key, value in source.items() if not key.startswith("PYTHON") and key not in dropped}
    return kept | {
        "PYTHONUTF8": "1",
        "PYTHONNOUSERSITE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def remove(runtime: Runtime) -> None:
    """Remove the runtime, and nothing else that lies in its folder.

    Raises FacescriptError: `busy` while a set-up is at work, `in_use` if files are held open (Windows) or may
    not be removed; what is left then is removed by the next try.
    """
    if not runtime.folder.is_dir():
        return
    with locked(runtime.folder):
        if any(map(held, generations(runtime.folder))):
            raise _in_use(runtime.folder)
        for path in (runtime.record_path, *runtime.other_record_paths(), runtime.journal_path):
            path.unlink(missing_ok=True)
        trees = (*generations(runtime.folder), runtime.wheels, runtime.folder / "tmp")
        # Each is tried, also after one that stays.
        if [path for path in trees if not remove_tree(path)]:
            raise _in_use(runtime.folder)
        # While it is held: nobody else can have it then.
        with suppress(OSError):
            (runtime.folder / SETUP_LOCK).unlink()
    with suppress(OSError):
        # Windows removes no file that is open, by whomever.
        if sys.platform == "win32":
            (runtime.folder / SETUP_LOCK).unlink(missing_ok=True)
        runtime.folder.rmdir()


def _in_use(folder: Path) -> FacescriptError:
    what = f"Some files in {folder} cannot be removed: a worker uses them."
    return FacescriptError("in_use", what, "Close every Blender that uses Facescript, then remove the runtime again.")


# --- the folder's parts -------------------------------------------------------------------------------------


def env_python(env: Path) -> Path:
    """The Python of a virtual environment. Its scripts in bin are not used: `python -m` needs none of them."""
    return env / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def is_alive(env: Path) -> bool:
    """Whether a virtual environment's Python is there, and the Python that it was made from."""
    if not env_python(env).is_file():
        return False
    with suppress(OSError, UnicodeDecodeError):
        for line in (env / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                return Path(value.strip()).is_dir()
    return False


def is_generation(name: str, kind: str) -> bool:
    """Whether `name` is one of set-up's own folders: `env-N` or `models-N`."""
    prefix, _, number = name.partition("-")
    return prefix == kind and number.isascii() and number.isdigit() and len(number) <= 9


def generations(folder: Path) -> list[Path]:
    """Every `env-N` and `models-N` in the folder."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if is_generation(p.name, "env") or is_generation(p.name, "models"))


def remove_tree(path: Path) -> bool:
    """Remove a folder (or a link to one, not what it points at) that no worker works from; whether it is gone."""
    if path.is_symlink():
        path.unlink()
    elif held(path):
        return False
    else:
        shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def digest(folder: Path, name: str) -> str:
    """A short digest of what a lock has installed: packages, versions and markers, not the hashes of wheels."""
    try:
        path = folder / name
        return _digest(path, path.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError) as error:
        what = f"{folder / name} is missing or damaged."
        raise FacescriptError("bad_install", what, "Install the extension again.") from error


@lru_cache(maxsize=64)
def _digest(path: Path, changed: int) -> str:
    lines = (line.split("#")[0].rstrip(" \\").strip() for line in path.read_text(encoding="utf-8").splitlines())
    rows = [line for line in lines if line and not line.startswith("-")]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def platform_name() -> str:
    """This machine's system and processor, such as `linux-x86_64`."""
    return f"{sys.platform}-{platform.machine().lower() or 'unknown'}"


def extension_version(package: Path = PACKAGE) -> str:
    """The extension's version from its manifest; "" if it has none."""
    with suppress(OSError, tomllib.TOMLDecodeError):
        return str(tomllib.loads((package / "blender_manifest.toml").read_text(encoding="utf-8")).get("version", ""))
    return ""


def read_json(path: Path) -> dict[str, Any] | None:
    """A small JSON object from a file, or None if there is none or it is damaged."""
    try:
        return read_object(path, _MAX_STATE_BYTES)
    except FacescriptError:
        return None


def write_json(path: Path, entry: Mapping[str, Any]) -> None:
    """Write a JSON object so that a reader finds either the old file or the new one, even after a power cut."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(entry, file, indent=2, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the folder's lock, which the system frees when this process ends; gives its file descriptor.

    Raises FacescriptError (`busy`) if another set-up holds it.
    """
    while True:
        with (folder / SETUP_LOCK).open("a+b") as file:
            try:
                _lock(file.fileno())
            except OSError as error:
                raise FacescriptError(
                    "busy",
                    "Another set-up is at work in the same folder.",
                    "Wait until it ends; close other Blenders if there is none.",
                ) from error
            # Whoever held it may have removed it: then others lock a new one.
            if _is_at(file.fileno(), folder / SETUP_LOCK):
                yield file.fileno()
                return


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
