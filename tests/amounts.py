# SPDX-License-Identifier: GPL-3.0-or-later
"""How many examples a property is tried with, and whether this is the Blender that run.py installs."""

from __future__ import annotations

import os

# The others find their packages where this says.
MAIN_BLENDER = "FACESCRIPT_PACKAGES" not in os.environ


def examples(count: int) -> int:
    """All of them on the Blender of run.py; on each other one a quarter, which is for differences between Blenders."""
    return count if MAIN_BLENDER else max(4, count // 4)
