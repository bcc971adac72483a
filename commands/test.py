# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py test`: the linters, the type checker, the import contracts, and all tests."""

from __future__ import annotations

import subprocess
import sys
import time

from . import PYTHON, ROOT

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
    "faults",
)


def main(arguments: list[str]) -> int:
    """Run all checks; with arguments, only pytest with them. The first failing check's status."""
    scripts = PYTHON.parent
    checks = [
        [str(scripts / "ruff"), "check", "."],
        [str(scripts / "ruff"), "format", "--check", "."],
        [str(PYTHON), "-m", "mypy", *(part for name in _PACKAGES for part in ("-p", f"facescript.{name}"))],
        [str(scripts / "lint-imports"), "--no-cache"],
    ]
    for check in [] if arguments[1:] else checks:
        begin = time.monotonic()
        print(f"--- {' '.join(check[:3])}", flush=True)
        if status := subprocess.call(check, cwd=ROOT):
            return status
        print(f"    {time.monotonic() - begin:.0f} s", flush=True)
    return subprocess.call([str(PYTHON), "-m", "pytest", *arguments[1:]], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
