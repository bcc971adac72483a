# SPDX-License-Identifier: GPL-3.0-or-later
"""From a performance to keyframes on a rig. `profiles`, `matching` and what it reads names by, `styles` and `curves`
need no Blender."""
