# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's steps of undo, also from a timer, where no window is current."""

from __future__ import annotations

from typing import Any, Literal

import bpy

Direction = Literal["undo", "redo"]


def push_undo(message: str) -> None:
    """Close one step of undo."""
    if bpy.app.background:
        return
    with _in_a_window():
        bpy.ops.ed.undo_push(message=message)


def travel(direction: Direction) -> bool:
    """Go one step further; whether there was one. All references to Blender's data are void afterwards."""
    operator: Any = bpy.ops.ed.undo if direction == "undo" else bpy.ops.ed.redo
    with _in_a_window():
        try:
            return bool(operator.poll() and operator() == {"FINISHED"})
        except RuntimeError:
            return False


def _in_a_window() -> Any:
    window = bpy.context.window or next(iter(bpy.context.window_manager.windows), None)
    return bpy.context.temp_override(window=window)
