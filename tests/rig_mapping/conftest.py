# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test of rig mapping begins with an empty file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Names of their own for the helpers beside this file: `rig_mapping` is also the package under test.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="module")
def factory_settings() -> None:
    """Blender as it comes, without what other tests installed."""
    bpy = pytest.importorskip("bpy")
    bpy.ops.wm.read_factory_settings(use_empty=True)


@pytest.fixture(autouse=True)
def empty_file(factory_settings: None) -> None:
    """A file without any object, at 24 frames a second: five times faster than the factory settings."""
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
