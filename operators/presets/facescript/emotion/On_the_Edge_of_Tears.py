# SPDX-License-Identifier: GPL-3.0-or-later
"""Held back with effort."""

import bpy

face = bpy.context.window_manager.facescript_face

face.emotion = "On the edge of tears, and determined not to show it"
