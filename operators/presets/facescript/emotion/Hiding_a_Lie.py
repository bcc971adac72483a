# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes that check whether it was believed."""

import bpy

face = bpy.context.window_manager.facescript_face

face.emotion = "Hiding a lie behind an easy manner"
