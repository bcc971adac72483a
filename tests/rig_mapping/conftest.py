# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test of rig mapping begins with an empty file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Names of their own for the helpers beside this file: `rig_mapping` is also the package under test.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def empty_file() -> None:
    """A file without any object, at 24 frames a second."""
    bpy = pytest.importorskip("bpy")
    bpy.ops.wm.read_factory_settings(use_empty=True)
