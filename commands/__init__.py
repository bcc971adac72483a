# SPDX-License-Identifier: GPL-3.0-or-later
"""What `run.py` does, a module a command. None of it is shipped in the extension."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Another one where the tests run in a Blender that does not see this Python.
RUNTIME = Path(os.environ.get("FACESCRIPT_RUNTIME") or ROOT / ".runtime")
OUT = ROOT / "out"

# The environment that run.py made is the worker's too.
PYTHON = Path(sys.executable)
