# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts what runs in the private environment: `python start.py worker|prepare|download OPTIONS`.

The extension is loaded under the name `facescript` whatever its folder is called, and without putting the folder
of all extensions on Python's path.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

# Exit statuses: the extension's own files are missing, damaged or of two versions; the environment lacks a package.
DAMAGED, LACKING = 65, 69

# What each command is carried out by, in `worker`.
_MODULES = {"worker": "server", "prepare": "prepare", "download": "hub_download"}


def import_package() -> None:
    """Make the package that holds this file importable as `facescript`."""
    if "facescript" in sys.modules:
        return
    root = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        "facescript", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["facescript"] = module
    spec.loader.exec_module(module)


def main(arguments: list[str]) -> int:
    """Run one command; its exit status."""
    command = arguments[0] if arguments else ""
    if command not in _MODULES:
        print(f"usage: start.py {'|'.join(_MODULES)} OPTIONS", file=sys.stderr)
        return 2
    name = f"facescript.inference.worker.{_MODULES[command]}"
    try:
        import_package()
        module = importlib.import_module(name)
    # Half a file can fail in any way.
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        ours = not isinstance(error, ImportError) or (error.name or "facescript").partition(".")[0] == "facescript"
        return DAMAGED if ours else LACKING
    return int(module.main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
