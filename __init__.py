# SPDX-License-Identifier: GPL-3.0-or-later
"""Facescript: from a script to a facial performance, as shape-key keyframes in Blender."""

from __future__ import annotations


def register() -> None:
    """Register every operator, panel and preference with Blender."""
    from . import operators, panels

    operators.register()
    panels.register()


def unregister() -> None:
    """Undo `register`, last first."""
    from . import operators, panels

    panels.unregister()
    operators.unregister()
