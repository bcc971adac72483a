# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: the Facescript tab of the 3D View's sidebar, and the preferences."""

from __future__ import annotations

import bpy

from . import beats, mapping, motion, preferences, presets, sidebar, takes

_CLASSES = (
    *preferences.CLASSES,
    *presets.CLASSES,
    *sidebar.CLASSES,
    *mapping.CLASSES,
    *beats.CLASSES,
    *motion.CLASSES,
    *takes.CLASSES,
)


def register() -> None:
    """Register the panels."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Undo `register`, last first."""
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
