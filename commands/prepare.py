# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up the checkout's own runtime in .runtime, with the environment that run.py made; nothing if it is there."""

from __future__ import annotations

import sys

from ..inference.setup.runtime import Runtime
from ..inference.setup.setting_up import set_up
from ..inference.setup.work import SetupOptions
from ..performance import FacescriptError
from . import PYTHON, RUNTIME


def main() -> int:
    """Prepare the language model; 0 if it is ready."""
    runtime = Runtime(RUNTIME)
    options = SetupOptions(base_python=PYTHON, python=PYTHON)
    if runtime.state().kind == "ready":
        return 0
    print("Preparing the language model (once, about a minute).", flush=True)
    try:
        for event in set_up(runtime, options):
            print(f"  {event.fraction:4.0%}  {event.message}", flush=True)
    except FacescriptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
