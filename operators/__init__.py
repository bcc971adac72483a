# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user can do, a module a theme; and what is kept for it in the file and behind the window."""

from __future__ import annotations

import bpy

from . import (
    add_face,
    beats,
    command_line,
    diagnostics,
    emotions,
    faces,
    files,
    following,
    generate,
    language,
    life,
    making,
    mapping,
    mapping_example,
    mapping_table,
    mapping_trial,
    menus,
    models,
    motion,
    plot,
    preset_files,
    preview,
    profile_files,
    properties,
    regenerate,
    script_table,
    server,
    session,
    setup,
    shaping,
    takes,
    training_data,
)

# In the order in which they are registered.
_MODULES = (
    language,
    mapping_table,
    properties,
    takes,
    script_table,
    preset_files,
    session,
    server,
    models,
    faces,
    mapping_trial,
    add_face,
    files,
    training_data,
    following,
    making,
    menus,
    command_line,
)
_CLASSES = (
    *motion.CLASSES,
    *life.CLASSES,
    *generate.CLASSES,
    *beats.CLASSES,
    *shaping.CLASSES,
    *regenerate.CLASSES,
    *emotions.CLASSES,
    *files.CLASSES,
    *training_data.CLASSES,
    *preview.CLASSES,
    *takes.CLASSES,
    *script_table.CLASSES,
    *preset_files.CLASSES,
    *plot.CLASSES,
    *setup.CLASSES,
    *diagnostics.CLASSES,
    *server.CLASSES,
    *models.CLASSES,
    *mapping.CLASSES,
    *mapping_example.CLASSES,
    *mapping_trial.CLASSES,
    *profile_files.CLASSES,
)


def register() -> None:
    """Register properties, handlers, operators and menu entries."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Undo `register`, last first."""
    for module in reversed(_MODULES):
        module.unregister()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
