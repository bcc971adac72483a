# SPDX-License-Identifier: GPL-3.0-or-later
"""Short reactions that read at once."""

import bpy

face = bpy.context.window_manager.facescript_face

face.style = "snappy"
face.motion.attack = 0.7
face.motion.leads = 0.5
face.motion.own_hold = True
face.motion.hold = 0.15
face.motion.own_release = False
face.motion.release = 0.1
face.motion.own_overshoot = False
face.motion.overshoot = 0.1
face.motion.own_leads = False
