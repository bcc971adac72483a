# SPDX-License-Identifier: GPL-3.0-or-later
"""From a performance to keyframes on a rig. `names`, `profiles`, `styles` and `curves` need no Blender."""
