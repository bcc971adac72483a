# SPDX-License-Identifier: GPL-3.0-or-later
"""Quick changes that go a little too far, and takes that are held."""

import bpy

face = bpy.context.window_manager.facescript_face

face.style = "snappy"
face.motion.attack = 0.8
face.motion.leads = 1.0
face.motion.own_hold = True
face.motion.hold = 0.4
face.motion.own_release = False
face.motion.release = 0.1
face.motion.own_overshoot = True
face.motion.overshoot = 0.15
face.motion.own_leads = False
