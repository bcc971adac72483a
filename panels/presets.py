# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets of style and of emotion, in the headers of what they fill in."""

from __future__ import annotations

import bpy
from bl_ui.utils import PresetPanel


class _Presets(PresetPanel):
    bl_space_type = "VIEW_3D"
    preset_operator = "facescript.apply_preset"


class FACESCRIPT_PT_style_presets(_Presets, bpy.types.Panel):
    """How the face moves, by name"""

    bl_idname = "FACESCRIPT_PT_style_presets"
    bl_label = "Style Presets"
    preset_subdir = "facescript/style"
    preset_add_operator = "facescript.add_style_preset"
    preset_operator_defaults = {"menu_idname": "FACESCRIPT_PT_style_presets"}


class FACESCRIPT_PT_emotion_presets(_Presets, bpy.types.Panel):
    """Emotional directions, by name"""

    bl_idname = "FACESCRIPT_PT_emotion_presets"
    bl_label = "Emotion Presets"
    preset_subdir = "facescript/emotion"
    preset_add_operator = "facescript.add_emotion_preset"
    preset_operator_defaults = {"menu_idname": "FACESCRIPT_PT_emotion_presets"}


CLASSES = (FACESCRIPT_PT_style_presets, FACESCRIPT_PT_emotion_presets)
