# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py test`: the linters, the type checker, the import contracts, and all tests on every Blender that is here.

`--blender 4.2` runs the tests on that one only (it may be given several times). Other arguments go to pytest, on
the bpy module that run.py installs if no Blender is named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from . import PYTHON, ROOT, RUNTIME, blenders
from .blenders import BLENDERS, Blender
from .build import build

_PACKAGES = (
    "performance",
    "inference",
    "rig_mapping",
    "demo_face",
    "operators",
    "panels",
    "training",
    "commands",
    "benchmarks",
    "fuzzing",
    "faults",
    "soak",
)
# Several runs at once share the checkout, but no cache.
_OPTIONS = ("-q", "-p", "no:cacheprovider", "--durations=8", "--durations-min=5")
# How many of a run's last lines are shown if it passed, and if it failed.
_SHOWN, _SHOWN_OF_FAILED = 25, 400


@dataclass(frozen=True)
class Run:
    """One run of pytest: its name, its command, and the environment variables it needs beside the others."""

    name: str
    command: list[str]
    variables: dict[str, str] = field(default_factory=dict)


def main(arguments: list[str]) -> int:
    """Run all checks, or pytest with arguments; the first failing check's status."""
    parser = argparse.ArgumentParser(prog="run.py test", allow_abbrev=False)
    parser.add_argument("--blender", action="append", default=[], choices=[b.version for b in BLENDERS])
    options, others = parser.parse_known_args(arguments[1:])
    chosen = [blender for blender in BLENDERS if blender.version in options.blender]
    if others and not chosen:
        return subprocess.call([str(PYTHON), "-m", "pytest", *others], cwd=ROOT)
    if not chosen and (status := _check()):
        return status
    return _test(chosen or list(BLENDERS), others, everything=not chosen)


def _check() -> int:
    scripts = PYTHON.parent
    checks = [
        [str(scripts / "ruff"), "check", "."],
        [str(scripts / "ruff"), "format", "--check", "."],
        [str(PYTHON), "-m", "mypy", *(part for name in _PACKAGES for part in ("-p", f"facescript.{name}"))],
        [str(scripts / "lint-imports"), "--no-cache"],
    ]
    for check in checks:
        begin = time.monotonic()
        print(f"--- {' '.join(check[:3])}", flush=True)
        if status := subprocess.call(check, cwd=ROOT):
            return status
        print(f"    {time.monotonic() - begin:.0f} s", flush=True)
    return 0


def _test(chosen: Sequence[Blender], others: Sequence[str], *, everything: bool) -> int:
    """Run the tests on the Blenders that are here, as many at a time as there are processors."""
    here = []
    for blender in chosen:
        if reason := blenders.missing(blender):
            print(f"SKIPPED {reason}", flush=True)
        else:
            here.append(blender)
    with tempfile.TemporaryDirectory(prefix="facescript-test-") as folder:
        # One zip, installed into all of them.
        os.environ["FACESCRIPT_ZIP"] = str(build(Path(folder)))
        for blender in here:
            blenders.fetch(blender)
        if any(blender.how in ("module", "program") for blender in here):
            blenders.runtime_for_window(RUNTIME / "window")
        apart = [_apart("windows", ("tests/gui",))] if everything else []
        apart += [_apart("worker, training and commands", _WITHOUT_WINDOWS)] if everything else []
        runs = [*apart, *(_in(blender, others) for blender in here)]
        lock = threading.Lock()
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            found = list(pool.map(lambda run: _carry_out(run, Path(folder), lock), runs))
    failed = [run.name for run, status in zip(runs, found, strict=True) if status]
    print("\nFAILED: " + "; ".join(failed) if failed else "\nAll passed.", flush=True)
    return 1 if failed else 0


_WITHOUT_WINDOWS = tuple(folder for folder in blenders.APART if folder != "tests/gui")


def _apart(name: str, folders: Sequence[str]) -> Run:
    return Run(name, [str(PYTHON), "-m", "pytest", *_OPTIONS, *folders])


def _in(blender: Blender, others: Sequence[str]) -> Run:
    command, variables = blenders.pytest_command(blender, [*_OPTIONS, *others])
    return Run(f"Blender {blender.version}", command, variables)


def _carry_out(run: Run, folder: Path, lock: threading.Lock) -> int:
    """Carry one run out and show the end of what it said; its status."""
    begin = time.monotonic()
    log = folder / f"{run.name}.log"
    with log.open("wb") as stream:
        environment = os.environ | run.variables
        status = subprocess.call(run.command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    with lock:
        print(f"\n--- {run.name}: status {status}, {time.monotonic() - begin:.0f} s", flush=True)
        print("\n".join(lines[-(_SHOWN_OF_FAILED if status else _SHOWN) :]), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
