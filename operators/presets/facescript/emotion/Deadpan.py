# SPDX-License-Identifier: GPL-3.0-or-later
"""Comedy without a smile."""

import bpy

face = bpy.context.window_manager.facescript_face

face.emotion = "Deadpan, with amusement just under it"
