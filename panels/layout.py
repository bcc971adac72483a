# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pieces that the panels are drawn with."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

from ..operators import faces
from ..operators.language import iface_
from ..operators.session import session
from ..performance import FacescriptError

# Pixels a letter takes at the interface's normal size, on average.
_LETTER = 6.6


class Rows:
    """A list that draws its items by `draw_row`."""

    # Blender asks for these nine by their number.
    def draw_item(
        self,
        context: Any,
        layout: Any,
        data: Any,
        item: Any,
        icon: Any,
        active_data: Any,
        active_property: Any,
        index: Any = 0,
        flt_flag: Any = 0,
    ) -> None:
        """Draw one row."""
        self.draw_row(layout, data, item, index)

    def draw_row(self, layout: Any, data: Any, item: Any, index: int) -> None:
        """Draw an item of `data`'s into `layout`."""
        raise NotImplementedError


def face_of(context: bpy.types.Context) -> Any:
    """The settings of the face that was found, or None."""
    found = faces.remembered(context)
    if found is None or found.target is None:
        return None
    try:
        return faces.settings_of(found.target)
    except FacescriptError:
        # Renamed or removed since it was found.
        return None


def paragraph(
    layout: bpy.types.UILayout, text: str, width: int, icon: str = "NONE", lines: int = 6, translate: bool = True
) -> None:
    """Draw a text over several lines; `width` is the region's, in pixels. What is the user's own is not translated."""
    text = iface_(text) if translate else text
    scale = bpy.context.preferences.system.ui_scale or 1.0
    letters = max(16, int((width / scale - 50) / _LETTER))
    column = layout.column(align=True)
    column.scale_y = 0.75
    for number, line in enumerate(textwrap.wrap(text, letters, max_lines=lines, placeholder=" ...")):
        column.label(text=line, translate=False, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


def draw_error(layout: bpy.types.UILayout, width: int) -> None:
    """The last error: what is wrong, then what to do."""
    error = session().error
    if error is None:
        return
    box = layout.box()
    box.alert = True
    paragraph(box, error.message, width, "ERROR")
    box.alert = False
    if error.hint:
        paragraph(box, error.hint, width, "FORWARD")


def draw_bar(layout: bpy.types.UILayout, fraction: float, text: str) -> None:
    """A progress bar."""
    layout.progress(factor=fraction, type="BAR", text=iface_(text), translate=False)


def draw_setup(layout: bpy.types.UILayout, width: int, sentence: str) -> None:
    """The runtime's state with the button that is wanted next."""
    job = session().setup
    if job:
        progress = session().setup_progress
        row = layout.row(align=True)
        draw_bar(row, progress.fraction, f"{progress.fraction:.0%}")
        row.operator("facescript.cancel_set_up", text="", icon="X")
        paragraph(layout, progress.message, width)
        return
    if sentence:
        paragraph(layout, sentence, width, "INFO")
    if not bpy.app.online_access:
        paragraph(layout, "Set Up downloads packages: allow online access, or choose a folder of packages.", width)
    row = layout.row()
    row.scale_y = 1.3
    row.operator("facescript.set_up", icon="IMPORT")
