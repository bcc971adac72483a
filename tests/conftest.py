# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the checkout importable as the package `facescript`, and says by name what is not there to test with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _import_checkout() -> None:
    if "facescript" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "facescript", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["facescript"] = module
    spec.loader.exec_module(module)


_import_checkout()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test data beside the checkout, which users do not have."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder ../shared with test rigs and a test corpus is not here")
    return folder
