# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of beats."""

from __future__ import annotations

from typing import Any

import bpy


class FACESCRIPT_UL_beats(bpy.types.UIList):
    """One beat a row: its frame and its description"""

    bl_idname = "FACESCRIPT_UL_beats"

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
        split = layout.split(factor=0.16)
        split.label(text=str(item.frame))
        split.label(text=item.text)


CLASSES = (FACESCRIPT_UL_beats,)
