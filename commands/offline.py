# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py offline FOLDER`: all packages of Set Up, for a machine without a network."""

from __future__ import annotations

import sys

from ..inference.setup import offline
from ..inference.setup.work import SetupOptions
from . import PYTHON


def main(arguments: list[str]) -> int:
    """Make the folder; its exit status."""
    return offline.main(arguments[1:], SetupOptions(base_python=PYTHON))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
