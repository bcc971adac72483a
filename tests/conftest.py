# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives the tests a Blender user folder of their own, and says by name what is not there to test with."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports bpy: tests never see, nor change, the user's own preferences and extensions. A Blender that is
# running already was started with such a folder.
_USER_FOLDER: tempfile.TemporaryDirectory[str] | None = None
if "bpy" not in sys.modules:
    _USER_FOLDER = tempfile.TemporaryDirectory(prefix="facescript-tests-", ignore_cleanup_errors=True)
    os.environ["BLENDER_USER_RESOURCES"] = _USER_FOLDER.name

# The same examples in every run, so that a change is what turns a test red; `--hypothesis-profile search` tries others.
# Nor does a busy machine: nothing of time is judged.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, **_PATIENT)
settings.register_profile("search", derandomize=False, **_PATIENT)
settings.load_profile("same")

ROOT = Path(__file__).resolve().parent.parent


def pytest_unconfigure() -> None:
    """Remove the user folder, also where Python's own way out is not taken."""
    if _USER_FOLDER is not None:
        _USER_FOLDER.cleanup()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test data beside the checkout, which users do not have."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder ../shared with test rigs and a test corpus is not here")
    return folder
