# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions of a batch, written by the environment's bpy with the installed extension: a process of its own."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

from ..inference.setup.watched import end_with
from ..performance import FacescriptError
from ..performance.parsing import read_object
from .batch import ERROR, PART
from .build import built
from .installed import PACKAGE, install


def main(arguments: list[str]) -> int:
    """Do the work of a file for the process of that number, and end with it; 0, or 1 if it could not be done."""
    path, parent = arguments
    # A batch that is killed takes no session but its own with it.
    end_with(int(parent))
    # Blender itself talks on standard output.
    sys.stdout.flush()
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(prefix="facescript-blender-", ignore_cleanup_errors=True) as folder:
        install(built(Path(folder) / "dist"), Path(folder) / "user", None)
        writer = importlib.import_module(f"{PACKAGE}.operators.batch_actions")
        work = writer.Work.from_dict(read_object(Path(path)))
        try:
            for name in writer.carry_out(work):
                print(f"{PART}{name}", file=said, flush=True)
        # Of the installed extension's kind, which is another class than this package's.
        except Exception as error:
            if type(error).__name__ != FacescriptError.__name__:
                raise
            words = [getattr(error, name) for name in ("code", "message", "hint")]
            print(f"{ERROR}{json.dumps(words)}", file=said, flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
