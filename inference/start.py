# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts what runs in the private environment: `python start.py worker|prepare --models FOLDER`.

The extension is loaded under the name `facescript` whatever its folder is called, and without putting the folder
of all extensions on Python's path.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path


def import_package() -> None:
    """Make the package that holds this file importable as `facescript`."""
    if "facescript" in sys.modules:
        return
    root = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        "facescript", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    if spec is None or spec.loader is None:
        raise SystemExit(f"Facescript's files are missing in {root}. Install the extension again.")
    module = importlib.util.module_from_spec(spec)
    sys.modules["facescript"] = module
    spec.loader.exec_module(module)


def main(arguments: list[str]) -> int:
    """Run one command; its exit status."""
    import_package()
    command = arguments[0] if arguments else ""
    if command not in ("worker", "prepare"):
        print("usage: start.py worker|prepare --models FOLDER", file=sys.stderr)
        return 2
    module = importlib.import_module("facescript.inference.worker." + ("server" if command == "worker" else command))
    return int(module.main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
