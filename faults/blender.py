# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of Blender itself."""

from __future__ import annotations
