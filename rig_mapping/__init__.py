# SPDX-License-Identifier: GPL-3.0-or-later
"""From a performance to keyframes on a rig. `profiles`, `spelling`, `readings`, `names`, `matching`, `styles` and `curves`
need no Blender."""
