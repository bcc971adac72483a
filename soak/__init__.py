# SPDX-License-Identifier: GPL-3.0-or-later
"""A random user at work in one Blender with the built extension, and what must hold after each of its steps."""
