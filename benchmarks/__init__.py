# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements of speed: `run.py bench`. None of it is shipped in the extension."""

from __future__ import annotations
