# SPDX-License-Identifier: GPL-3.0-or-later
"""A sheet of lines performed in one go: ten thousand of them in a night, that can be ended at any point and go on.

No bpy and no torch: lines are performed by worker processes, and actions are written by a Blender that is handed in.
"""
