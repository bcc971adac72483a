# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks: which wheels a machine needs, by name, version and sha256; read from `requirements/*.lock`.

A lock is a requirements file as `uv pip compile --universal --generate-hashes` writes it, so pip reads it too. Here it
is read for another reason: to fetch the wheels ourselves, and to know what is missing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ...performance.errors import FacescriptError

_ROW = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+?))?\s*(?=--hash|$)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")
_INDEX = re.compile(r"--extra-index-url\s+(\S+)")
_WHEEL = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)
# Older names of manylinux_X_Y (PEP 600).
_MANYLINUX = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_VERSIONED = re.compile(r"(manylinux|macosx)_(\d+)_(\d+)_(\w+)")


@dataclass(frozen=True)
class Pin:
    """One row of a lock: a package, its version, where it is needed (a marker; "": everywhere), its wheels' sha256."""

    name: str
    version: str
    marker: str
    hashes: frozenset[str]

    @property
    def requirement(self) -> str:
        """The row for pip."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{value}" for value in sorted(self.hashes))])


@dataclass(frozen=True)
class Lock:
    """A lock's rows, and the indexes that it names beside the user's own."""

    pins: tuple[Pin, ...]
    indexes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """The machine that packages are for.

    `python` is (3, 11); `system` as `sys.platform` says it; `machine` as `platform.machine()` does; `release` is
    glibc's version on Linux, macOS's on a Mac, else (0, 0).
    """

    python: tuple[int, int]
    system: str
    machine: str
    release: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """For people and file names: `linux-x86_64-python3.11`."""
        return f"{self.system}-{self.machine.lower()}-python{self.python[0]}.{self.python[1]}"

    def variables(self) -> dict[str, str]:
        """The variables of markers (PEP 508) that locks use."""
        dotted = ".".join(map(str, self.python))
        return {
            "sys_platform": self.system,
            "platform_machine": self.machine,
            "platform_system": {"linux": "Linux", "win32": "Windows", "darwin": "Darwin"}.get(self.system, self.system),
            "os_name": "nt" if self.system == "win32" else "posix",
            "python_version": dotted,
            "python_full_version": f"{dotted}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }

    def platforms(self) -> list[str]:
        """The names of platforms for pip, the newest first."""
        machine = self.machine.lower()
        if self.system == "win32":
            return ["win_amd64" if machine == "amd64" else f"win_{machine}"]
        if self.system == "darwin":
            return [f"macosx_{release}_0_{machine}" for release in range(self.release[0], 10, -1)]
        return [f"manylinux_{self.release[0]}_{minor}_{machine}" for minor in range(self.release[1], 4, -1)]

    def rank(self, filename: str) -> tuple[int, tuple[int, int]] | None:
        """How well a wheel fits, the more the better; None if it does not (PEP 425, 600)."""
        match = _WHEEL.fullmatch(unquote(filename))
        if match is None:
            return None
        interpreter = self._interpreter(match["python"].split("."), match["abi"].split("."))
        releases = [found for tag in match["platform"].split(".") if (found := self._release(tag)) is not None]
        return (interpreter, max(releases)) if interpreter and releases else None

    def _interpreter(self, pythons: list[str], abis: list[str]) -> int:
        major, minor = self.python
        if f"cp{major}{minor}" in pythons and f"cp{major}{minor}" in abis:
            return 3
        stable = {f"cp{major}{older}" for older in range(2, minor + 1)}
        if "abi3" in abis and stable & set(pythons):
            return 2
        plain = {f"py{major}", f"py{major}{minor}", f"cp{major}{minor}"}
        return 1 if "none" in abis and plain & set(pythons) else 0

    def _release(self, tag: str) -> tuple[int, int] | None:
        """The release of the system that a platform tag asks for, if this machine has it."""
        if tag == "any":
            return (0, 0)
        machine = self.machine.lower()
        if self.system == "win32":
            return (0, 0) if tag == {"amd64": "win_amd64", "arm64": "win_arm64"}.get(machine) else None
        for old, release in _MANYLINUX.items():
            if tag == f"{old}_{machine}":
                tag = f"manylinux_{release[0]}_{release[1]}_{machine}"
        match = _VERSIONED.fullmatch(tag)
        kind = {"linux": "manylinux", "darwin": "macosx"}.get(self.system)
        machines = (machine, "universal2") if self.system == "darwin" else (machine,)
        if match is None or match[1] != kind or match[4] not in machines:
            return None
        release = (int(match[2]), int(match[3]))
        return release if release <= self.release else None


def read_lock(path: Path) -> Lock:
    """A lock from its file. Raises FacescriptError (`bad_install`) where it is missing or is not one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _not_a_lock(path) from error
    pins: list[Pin] = []
    indexes: list[str] = []
    for row in _rows(text):
        if index := _INDEX.fullmatch(row):
            indexes.append(index[1])
        elif match := _ROW.match(row):
            marker = (match["marker"] or "").strip()
            pins.append(Pin(normal_name(match["name"]), match["version"], marker, frozenset(_HASH.findall(row))))
        else:
            raise _not_a_lock(path)
    return Lock(tuple(pins), tuple(indexes))


def needed(lock: Lock, target: Target) -> tuple[Pin, ...]:
    """The rows of a lock that a machine needs."""
    return tuple(pin for pin in lock.pins if applies(pin.marker, target.variables()))


def applies(marker: str, variables: Mapping[str, str]) -> bool:
    """Whether a marker holds. Raises FacescriptError (`bad_install`) for one that locks do not use."""
    if not marker:
        return True
    try:
        # Markers of this form are Python expressions; they are walked through, never evaluated as code.
        return _holds(ast.parse(marker, mode="eval").body, variables)
    except (SyntaxError, ValueError, KeyError, TypeError) as error:
        raise FacescriptError("bad_install", f"A lock has a marker that is not known: {marker}.", _AGAIN) from error


def normal_name(name: str) -> str:
    """A package's name as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def wheel_package(filename: str) -> tuple[str, str]:
    """The package's name and the version that a wheel's file name says; ("", "") if it is no wheel's."""
    match = _WHEEL.fullmatch(unquote(filename))
    return (normal_name(match["name"]), match["version"]) if match else ("", "")


_AGAIN = "Install the extension again."


def _not_a_lock(path: Path) -> FacescriptError:
    return FacescriptError("bad_install", f"{path} is missing or damaged.", _AGAIN)


def _rows(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        if row := line.split("#")[0].strip():
            yield row


def _holds(node: ast.expr, variables: Mapping[str, str]) -> bool:
    if isinstance(node, ast.BoolOp):
        each = (_holds(value, variables) for value in node.values)
        return all(each) if isinstance(node.op, ast.And) else any(each)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = (_value(part, variables) for part in (node.left, node.comparators[0]))
        versions = isinstance(node.left, ast.Name) and node.left.id.startswith("python_")
        return _compared(node.ops[0], _numbers(left) if versions else left, _numbers(right) if versions else right)
    raise ValueError(ast.dump(node))


def _value(node: ast.expr, variables: Mapping[str, str]) -> str:
    if isinstance(node, ast.Name):
        return variables[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError(ast.dump(node))


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


def _compared(operator: ast.cmpop, left: object, right: object) -> bool:
    if isinstance(operator, ast.Eq):
        return left == right
    if isinstance(operator, ast.NotEq):
        return left != right
    if isinstance(left, tuple) and isinstance(right, tuple):
        if isinstance(operator, (ast.Lt, ast.LtE)):
            return left < right or (isinstance(operator, ast.LtE) and left == right)
        if isinstance(operator, (ast.Gt, ast.GtE)):
            return left > right or (isinstance(operator, ast.GtE) and left == right)
    raise ValueError(ast.dump(operator))
