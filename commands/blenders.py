# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blenders that the tests run on: what each needs, where it is put, and the command that runs pytest in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..inference.setup.runtime import Runtime
from . import PYTHON, ROOT, RUNTIME

LAUNCHER = ROOT.parent / "shared" / "blender" / "blender"
_ROOT_OF_LAUNCHER = Path(os.environ.get("BLENDER_ROOT", "/var/cache/windowed-blender"))
_FOLDER = RUNTIME / "blender"
_IN_BLENDER = ROOT / "tests" / "in_blender.py"

# What the launcher's Python 3.13 lacks.
_HYPOTHESIS = ("hypothesis==6.170.15", "sortedcontainers==2.4.0")
# That Python's own packages, as seen inside the launcher's root: the Blender there comes without them.
_ITS_PACKAGES = "/venv/lib/python3.13/site-packages"

# Tests that no Blender takes part in: of what runs in the runtime's Python, and of the project's own commands.
APART = (
    "tests/training",
    "tests/inference/worker",
    "tests/inference/setup/test_interruptions.py",
    "tests/batch",
    "tests/commands",
    "tests/gui",
    "tests/faults",
    "tests/fuzzing",
    "tests/soak",
)
# What a Blender's own Python asks a server with: Debian's Blender runs on the system's Python, which lacks what that of
# blender.org ships. It is tested with the same Python by the bpy module.
_NOT_IN_PROGRAM = ("tests/operators/test_server.py",)


@dataclass(frozen=True)
class Blender:
    """A Blender by its version, and how it is run.

    `environment`: the bpy module that run.py installs. `package`: another bpy module for the same Python, which
    is fetched when it is first asked for. `module`, `program`: the bpy module with a newer Python, and the program
    itself, both of the folder ../shared, which users do not have.
    """

    version: str
    how: Literal["environment", "package", "module", "program"]
    requirement: str = ""


BLENDERS = (
    Blender("4.2", "package", "bpy==4.2.23"),
    Blender("4.3", "program"),
    Blender("4.5", "package", "bpy==4.5.15"),
    Blender("5.0", "environment"),
    Blender("5.2", "module"),
)

WINDOWED = BLENDERS[1]


def missing(blender: Blender) -> str:
    """Why a Blender is not here, or an empty text."""
    if blender.how in ("environment", "package"):
        return ""
    if not LAUNCHER.is_file():
        return f"Blender {blender.version}: the folder ../shared/blender is not here"
    if not (_ROOT_OF_LAUNCHER / ".complete").exists():
        return f"Blender {blender.version}: it is not set up (../shared/blender/setup)"
    return ""


def fetch(blender: Blender) -> None:
    """Install what a Blender needs that is not here yet. Raises CalledProcessError."""
    if blender.how == "package":
        _install([str(PYTHON), "-m", "pip"], _FOLDER / blender.version, (blender.requirement,))
    elif blender.how in ("module", "program"):
        _install(["bash", str(LAUNCHER), "-m", "pip"], _FOLDER / "python3.13", _HYPOTHESIS, "--no-deps")


def _install(pip: Sequence[str], folder: Path, requirements: Sequence[str], *options: str) -> None:
    marker = folder / "facescript-requirements"
    wanted = "\n".join(requirements)
    if marker.is_file() and marker.read_text() == wanted:
        return
    command = [*pip, "install", "-q", "--disable-pip-version-check", "--upgrade", *options, "--target", str(folder)]
    subprocess.run([*command, *requirements], check=True, env=os.environ | {"PYTHON": "1"}, cwd=ROOT)
    marker.write_text(wanted)


def pytest_command(blender: Blender, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command that runs pytest in a Blender, and the environment variables it needs beside the others."""
    apart = [f"--ignore={folder}" for folder in APART]
    if blender.how in ("package", "program"):
        apart += [f"--ignore={path}" for path in _without_blender()]
    if blender.how == "environment":
        return [str(PYTHON), "-m", "pytest", *apart, *arguments], {}
    if blender.how == "package":
        folder = str(_FOLDER / blender.version)
        variables = {"PYTHONPATH": folder, "FACESCRIPT_PACKAGES": folder}
        return [str(PYTHON), str(_IN_BLENDER), "--", *apart, *arguments], variables
    places = [str(PYTHON.parent.parent / "package"), str(_FOLDER / "python3.13")]
    inside = ["--", *apart, *arguments]
    variables = {"FACESCRIPT_RUNTIME": str(runtime_for_window(RUNTIME / "window"))}
    if blender.how == "module":
        variables |= {"PYTHON": "1", "FACESCRIPT_PACKAGES": os.pathsep.join(places)}
        return ["bash", str(LAUNCHER), str(_IN_BLENDER), *inside], variables
    # It reads this when it starts, before the tests could say where their own folder is.
    user = RUNTIME / "blender" / "user-4.3"
    shutil.rmtree(user, ignore_errors=True)
    variables |= {
        "GUI": "0",
        "BLENDER_USER_RESOURCES": str(user),
        "FACESCRIPT_PACKAGES": os.pathsep.join([*places, _ITS_PACKAGES]),
    }
    start = ["-b", "--factory-startup", "--python-exit-code", "3", "-P", str(_IN_BLENDER)]
    inside += [f"--ignore={path}" for path in _NOT_IN_PROGRAM]
    return ["bash", str(LAUNCHER), *start, *inside], variables


def _without_blender() -> list[str]:
    """Tests in which no Blender takes part: what matters to them is the Python, of which there are two.

    The environment's and the module's runs have both.
    """
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in files if "bpy" not in path.read_text(encoding="utf-8")]


def runtime_for_window(folder: Path) -> Path:
    """A copy of the checkout's runtime that works inside the launcher's root, made once in `folder`.

    The checkout is seen in that root, but not this machine's Python: so its worker runs on a copy of that.
    """
    source = Runtime(RUNTIME)
    entry = json.loads(source.record_path.read_text(encoding="utf-8"))
    wanted = entry | {"python": str(folder / "python" / "bin" / "python"), "models": "models-1"}
    record = folder / "runtime.json"
    if record.is_file() and json.loads(record.read_text(encoding="utf-8")) == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    _copy_python(folder / "python")
    shutil.copytree(source.models, folder / "models-1")
    record.write_text(json.dumps(wanted), encoding="utf-8")
    return folder


def _copy_python(folder: Path) -> None:
    """Copy the interpreter and its standard library; packages are taken from this environment."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = folder / "lib" / version
    skipped = shutil.ignore_patterns("site-packages", "dist-packages", "test", "__pycache__", "config-*")
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=skipped, dirs_exist_ok=True)
    (library / "site-packages").mkdir(exist_ok=True)
    (library / "site-packages" / "here.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (folder / "bin").mkdir(exist_ok=True)
    shutil.copy2(os.path.realpath(sys.executable), folder / "bin" / version)
    shared = Path(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or "none")
    if shared.is_file():
        shutil.copy2(shared, folder / "lib" / shared.name)
    start = folder / "bin" / "python"
    start.write_text(
        f'#!/bin/sh\nLD_LIBRARY_PATH="{folder}/lib" exec "{folder}/bin/{version}" "$@"\n', encoding="utf-8"
    )
    start.chmod(0o755)
