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
from dataclasses import dataclass
from pathlib import Path

from . import PYTHON, ROOT, RUNTIME, blenders
from .blenders import BLENDERS, Blender
from .build import build

_PACKAGES = (
    "performance",
    "inference",
    "rig_mapping",
    "batch",
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
    """A check or one run of pytest: its name and its command, or the Blender and what pytest is told there."""

    name: str
    command: Sequence[str]
    blender: Blender | None = None


def main(arguments: list[str]) -> int:
    """Run all checks, or pytest with arguments; the first failing check's status."""
    parser = argparse.ArgumentParser(prog="run.py test", allow_abbrev=False)
    parser.add_argument("--blender", action="append", default=[], choices=[b.version for b in BLENDERS])
    options, others = parser.parse_known_args(arguments[1:])
    chosen = [blender for blender in BLENDERS if blender.version in options.blender]
    if others and not chosen:
        return subprocess.call([str(PYTHON), "-m", "pytest", *others], cwd=ROOT)
    return _test(chosen or list(BLENDERS), others, everything=not chosen)


def _checks() -> list[Run]:
    scripts = PYTHON.parent
    packages = [part for name in _PACKAGES for part in ("-p", f"facescript.{name}")]
    return [
        Run("ruff check", [str(scripts / "ruff"), "check", "."]),
        Run("ruff format", [str(scripts / "ruff"), "format", "--check", "."]),
        Run("mypy", [str(PYTHON), "-m", "mypy", *packages]),
        Run("import contracts", [str(scripts / "lint-imports"), "--no-cache"]),
    ]


def _test(chosen: Sequence[Blender], others: Sequence[str], *, everything: bool) -> int:
    """Run the tests on the Blenders that are here, several at a time."""
    here = []
    for blender in chosen:
        if reason := blenders.missing(blender):
            print(f"SKIPPED {reason}", flush=True)
        else:
            here.append(blender)
    with tempfile.TemporaryDirectory(prefix="facescript-test-") as folder:
        # One zip, installed into all of them.
        os.environ["FACESCRIPT_ZIP"] = str(build(Path(folder)))
        if any(blender.how in ("module", "program") for blender in here):
            blenders.runtime_for_window(RUNTIME / "window")
        # The long ones first, so that no processor is idle at the end: those with what no Blender takes part in.
        here.sort(key=lambda blender: blender.how not in ("environment", "module"))
        runs = [Run(f"Blender {blender.version}", (*_OPTIONS, *others), blender) for blender in here]
        if everything:
            without = _apart("worker, training and commands", _WITHOUT_WINDOWS)
            runs = [*_checks(), without, runs[0], _apart("windows", ("tests/gui",)), *runs[1:]]
        fetching, printing = threading.Lock(), threading.Lock()
        # One more than there are processors: windows wait for timers, and Set Up for downloads.
        with ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1) as pool:
            found = list(pool.map(lambda run: _carry_out(run, Path(folder), fetching, printing), runs))
    failed = [run.name for run, status in zip(runs, found, strict=True) if status]
    print("\nFAILED: " + "; ".join(failed) if failed else "\nAll passed.", flush=True)
    return 1 if failed else 0


_WITHOUT_WINDOWS = tuple(folder for folder in blenders.APART if folder != "tests/gui")


def _apart(name: str, folders: Sequence[str]) -> Run:
    return Run(name, [str(PYTHON), "-m", "pytest", *_OPTIONS, *folders])


def _carry_out(run: Run, folder: Path, fetching: threading.Lock, printing: threading.Lock) -> int:
    """Carry one run out and show the end of what it said; its status."""
    # With several runs at once, threads of one model would only wait for those of another.
    command, environment = run.command, os.environ | {"OMP_NUM_THREADS": "1"}
    if run.blender:
        with fetching:
            blenders.fetch(run.blender)
        command, variables = blenders.pytest_command(run.blender, run.command)
        environment |= variables
    begin = time.monotonic()
    log = folder / f"{run.name}.log"
    with log.open("wb") as stream:
        status = subprocess.call(command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    with printing:
        print(f"\n--- {run.name}: status {status}, {time.monotonic() - begin:.0f} s", flush=True)
        print("\n".join(lines[-(_SHOWN_OF_FAILED if status else _SHOWN) :]), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
