# SPDX-License-Identifier: GPL-3.0-or-later
"""The private runtime: where it lies, what state it is in, and the environment of its processes.

Layout of its folder:

- `runtime.json` names the environment and the models that are in use. It is written last, in one atomic step.
- `env-N` is a virtual environment and `models-N` the converted models. Set-up never changes those in use: it
  makes new ones beside them, at the place where they will stay, and then replaces `runtime.json`. So nothing is
  renamed or moved (a virtual environment cannot be, and Windows refuses it for open files), and an interruption
  at any moment leaves either the old runtime or the new one.
- `setup.json` is the journal of a set-up that is not done, `setup.lock` its lock, `tmp` its scratch folder.
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
from pathlib import Path
from typing import Any, Literal

from ..performance.errors import FacescriptError

PACKAGE = Path(__file__).resolve().parent.parent
REQUIREMENTS = Path(__file__).with_name("requirements")
# What an environment is made of, and what its models are made of.
ENV_FILES = ("torch.txt", "cpu.txt")
MODEL_FILES = ("model.txt",)
# A state file is a few hundred bytes; more is not one of ours.
_MAX_STATE_BYTES = 1 << 20

StateKind = Literal["missing", "incomplete", "outdated", "ready"]


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
    Python if that is used instead of `env`. `requirements` and `model` are digests of the requirement files.
    `selftest` is what the self-test measured.
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

    def record(self) -> Record | None:
        """What `runtime.json` says, or None if there is none or it is damaged."""
        entry = read_json(self.record_path)
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

    def state(self, requirements: Path = REQUIREMENTS) -> RuntimeState:
        """Look at the folder (a few small files: cheap enough for drawing a panel)."""
        record = self.record()
        if record is None:
            if self.journal_path.exists() or self.record_path.exists():
                return RuntimeState("incomplete", "Set-up was interrupted. Press Set Up to go on where it stopped.")
            return RuntimeState("missing", "The language model is not set up yet. Press Set Up.")
        if not self._alive(record):
            return RuntimeState(
                "incomplete", "The runtime's Python is gone or was moved. Press Set Up to make it again."
            )
        if not (self.folder / record.models).is_dir():
            return RuntimeState("incomplete", "The model's files are gone. Press Set Up to make them again.")
        if record.platform != platform_name():
            return RuntimeState(
                "outdated", f"The runtime was made for {record.platform}. Press Set Up to make one here."
            )
        current = record.python or record.requirements == digest(requirements, ENV_FILES)
        if not current or record.model != digest(requirements, MODEL_FILES):
            return RuntimeState("outdated", "This version needs newer packages. Press Set Up to update.", usable=True)
        return RuntimeState("ready", f"Ready ({record.quantization}).", usable=True)

    def _record(self) -> Record:
        record = self.record()
        if record is None:
            raise FacescriptError("no_runtime", "The language model is not set up.", "Press Set Up in the preferences.")
        return record

    def _alive(self, record: Record) -> bool:
        if record.python:
            return Path(record.python).is_file()
        return is_alive(self.folder / record.env)


def write_record(runtime: Runtime, record: Record) -> None:
    """Put a new runtime in use, atomically."""
    write_json(runtime.record_path, {"complete": True, **asdict(record)})


def child_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment variables for the runtime's processes; `base` is what they come from (this process's).

    Nothing that points Python at Blender's own modules is left, and nothing in there reaches for the network.
    """
    # __PYVENV_LAUNCHER__ makes macOS's Python take itself for another one.
    dropped = ("__PYVENV_LAUNCHER__", "VIRTUAL_ENV")
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
        for path in (runtime.record_path, runtime.journal_path):
            path.unlink(missing_ok=True)
        left = [path for path in generations(runtime.folder) if not remove_tree(path)]
        if not remove_tree(runtime.folder / "tmp") or left:
            raise FacescriptError(
                "in_use",
                f"Some files in {runtime.folder} cannot be removed.",
                "Close every Blender that uses Facescript, then remove the runtime again.",
            )
    (runtime.folder / "setup.lock").unlink(missing_ok=True)
    with suppress(OSError):
        runtime.folder.rmdir()


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
    return prefix == kind and number.isascii() and number.isdigit()


def generations(folder: Path) -> list[Path]:
    """Every `env-N` and `models-N` in the folder."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if is_generation(p.name, "env") or is_generation(p.name, "models"))


def remove_tree(path: Path) -> bool:
    """Remove a folder (or a link to one, not what it points at); whether it is gone."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def digest(folder: Path, names: tuple[str, ...]) -> str:
    """A short digest of requirement files, without their comments."""
    rows: list[str] = []
    for name in names:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        rows += [row for line in lines if (row := line.split("#")[0].strip())]
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
        with path.open("rb") as file:
            entry = json.loads(file.read(_MAX_STATE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


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
    with (folder / "setup.lock").open("a+b") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            raise FacescriptError(
                "busy",
                "Another set-up is at work in the same folder.",
                "Wait until it ends; close other Blenders if there is none.",
            ) from error
        yield file.fileno()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
