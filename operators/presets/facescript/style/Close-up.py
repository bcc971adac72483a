# SPDX-License-Identifier: GPL-3.0-or-later
"""Little and slow, led by the eyes: for a camera that sees everything."""

import bpy

face = bpy.context.window_manager.facescript_face

face.style = "soft"
face.motion.attack = 1.4
face.motion.leads = 1.5
face.motion.own_hold = False
face.motion.hold = 0.25
face.motion.own_release = True
face.motion.release = 0.05
face.motion.own_overshoot = True
face.motion.overshoot = 0.0
face.motion.own_leads = False
